package doctor

import "syscall"

func sysctl(name string) (value int, ok bool) {
	n, err := syscall.SysctlUint32(name)
	return int(n), err == nil
}
