package doctor

// sysctl is of macOS; nothing here asks for another system's.
func sysctl(string) (value int, ok bool) { return 0, false }
