package server

import (
	"os"
	"path/filepath"
)

// replaceFile writes a private file by writing another one beside it and
// renaming it: whatever happens, there is the old content or the new one. When
// it returns, the new one survives the loss of power too. One call at a time for
// a path; what a killed one left behind is written over by the next.
func replaceFile(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	beside := filepath.Join(dir, "."+filepath.Base(path)+".new")
	os.Remove(beside) // so that it is no link to somewhere else
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(beside)
		}
	}()
	if _, err = f.Write(content); err != nil {
		return err
	}
	if st, statErr := os.Stat(path); statErr == nil {
		if err = f.Chmod(st.Mode().Perm()); err != nil {
			return err
		}
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(beside, path); err != nil {
		return err
	}
	return syncDir(dir)
}
