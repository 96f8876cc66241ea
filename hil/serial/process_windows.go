package serial

import "golang.org/x/sys/windows"

// processStat reads when a process was created. Windows does not keep parents.
func processStat(pid int) (start uint64, parent int, ok bool) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return 0, 0, false
	}
	defer windows.CloseHandle(h)
	if s, err := windows.WaitForSingleObject(h, 0); err != nil || s == windows.WAIT_OBJECT_0 {
		return 0, 0, false
	}
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return 0, 0, false
	}
	return uint64(created.Nanoseconds()), 0, true
}
