// Command reprise runs language models on this machine: see package cli for its commands.
package main

import (
	"context"
	"os"

	"reprise/cmd/internal/cli"
)

func main() {
	os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
