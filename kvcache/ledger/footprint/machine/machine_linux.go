package machine

import "os"

func system() Machine { return fromFiles(os.DirFS("/")) }
