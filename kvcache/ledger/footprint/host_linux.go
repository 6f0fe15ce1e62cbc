package footprint

import "os"

func groupLimit() Limit { return cgroupLimit(os.DirFS("/")) }
