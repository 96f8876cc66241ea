package serial

import "os"

// List lists the serial ports of this machine, without opening any.
func List() ([]Info, error) { return ListSysfs(os.DirFS("/sys")) }
