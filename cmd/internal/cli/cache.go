package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"reprise/cmd/internal/cachecmd"
	"reprise/cmd/internal/console"
	"reprise/server/api"
)

// cacheFlags are those of all `reprise cache` commands.
type cacheFlags struct {
	url, key   string
	asJSON     bool
	tier, disk string
}

func newCache() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cache",
		Short:   "Asks a running server what its cache holds, and why a turn did not reuse more",
		Example: "  reprise cache stats\n  reprise cache why turn_0123456789abcdef",
	}
	group(cmd)
	cmd.AddCommand(
		ofCache("ls", "Lists the sessions with their turns and last hits, and what the cache holds", "reprise cache ls", "", (*cacheFlags).list),
		ofCache("stats", "Says what all turns reused, recomputed and paid again, and what the cache holds", "reprise cache stats --json", "", (*cacheFlags).stats),
		ofCache("why TURN", "Shows where a turn's prompt left the cached one, with both texts", "reprise cache why turn_0123456789abcdef",
			"TURN is a turn_id: the answer's X-Reprise-Turn header, a row of /v1/cache/ledger, or the last turn in `reprise cache ls`. The mark ▸ stands where\n"+
				"the two texts part.", (*cacheFlags).why),
		ofCache("clear", "Drops every state that no turn is using, in memory and on the disk, and forgets that it was there", "reprise cache clear",
			"What was generated in a conversation stays known: that is no cache. The shared store (--l2) is others', too: --tier l2 or all clears it.", (*cacheFlags).clear),
		ofCache("verify", "Checks the ledger's files, reads every block on the disk, and has the server count its cache again", "reprise cache verify",
			"Every line of REPRISE_HOME/ledger must be a row, every row must keep the identities, and none may be there twice. Every block in\n"+
				"REPRISE_HOME/kv, or the folder that --cache-disk names, is read whole. Without --url a\n"+
				"server that does not answer is no mistake: then only the files are checked.", (*cacheFlags).verify),
	)
	return cmd
}

// ofCache makes one of the commands.
func ofCache(use, short, example, long string, run func(*cacheFlags, *cobra.Command, *cachecmd.Client, []string) error) *cobra.Command {
	var f cacheFlags
	args := exactly(0, "no argument")
	if use == "why TURN" {
		args = exactly(1, "one turn")
	}
	cmd := &cobra.Command{
		Use: use + " [flags]", Short: short, Long: long, Example: "  " + example, Args: args,
		RunE: func(c *cobra.Command, args []string) error {
			key := f.key
			if key == "" {
				key = os.Getenv(keyVariable)
			}
			client, err := cachecmd.NewClient(f.url, key)
			if err != nil {
				return usagef("--url %w", err)
			}
			return run(&f, c, client, args)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.url, "url", "http://"+api.DefaultAddr, "the running server at `URL`")
	fs.StringVar(&f.key, "api-key", "", "the `KEY` that the server wants; $"+keyVariable+" when not given")
	marked(cmd, inServer, "url", "api-key")
	switch cmd.Name() {
	case "clear":
		fs.StringVar(&f.tier, "tier", "", "`l0|l1|l2|all`: memory, disk, the shared store; without it, l0 and l1")
		marked(cmd, inServer, "tier")
	case "verify":
		fs.StringVar(&f.disk, "cache-disk", "", "the `DIR` of blocks that serve was given; REPRISE_HOME/kv when not given")
		marked(cmd, inServer, "cache-disk")
	}
	fs.BoolVar(&f.asJSON, "json", false, "print an object")
	marked(cmd, inOutput, "json")
	return cmd
}

func (f *cacheFlags) list(c *cobra.Command, client *cachecmd.Client, _ []string) error {
	rows, err := client.Rows(c.Context())
	if err != nil {
		return err
	}
	stats, err := client.Stats(c.Context())
	if err != nil {
		return err
	}
	sessions := cachecmd.Sessions(rows)
	if f.asJSON {
		return console.WriteJSON(c.OutOrStdout(), map[string]any{"sessions": sessions, "cache": stats.Cache})
	}
	return cachecmd.WriteSessions(c.OutOrStdout(), sessions, &stats.Cache)
}

func (f *cacheFlags) stats(c *cobra.Command, client *cachecmd.Client, _ []string) error {
	stats, err := client.Stats(c.Context())
	if err != nil {
		return err
	}
	if f.asJSON {
		return console.WriteJSON(c.OutOrStdout(), stats)
	}
	return cachecmd.WriteStats(c.OutOrStdout(), stats)
}

func (f *cacheFlags) why(c *cobra.Command, client *cachecmd.Client, args []string) error {
	why, err := client.Why(c.Context(), args[0])
	if err != nil {
		return err
	}
	if f.asJSON {
		return console.WriteJSON(c.OutOrStdout(), why)
	}
	return cachecmd.WriteWhy(c.OutOrStdout(), why)
}

func (f *cacheFlags) clear(c *cobra.Command, client *cachecmd.Client, _ []string) error {
	if !slices.Contains([]string{"", "l0", "l1", "l2", "all"}, f.tier) {
		return usagef("--tier %s: must be l0, l1, l2 or all", f.tier)
	}
	if err := client.Clear(c.Context(), f.tier); err != nil {
		return err
	}
	stats, err := client.Stats(c.Context())
	if err != nil {
		return err
	}
	if f.asJSON {
		return console.WriteJSON(c.OutOrStdout(), map[string]any{"cleared": true, "cache": stats.Cache})
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "cleared: %s are left, in the hands of %d turns\n", console.Bytes(stats.Cache.Bytes), stats.Cache.Busy)
	return err
}

func (f *cacheFlags) verify(c *cobra.Command, client *cachecmd.Client, _ []string) error {
	dir, err := ledgerDir()
	if err != nil {
		return err
	}
	v, err := cachecmd.VerifyLedger(dir)
	if err != nil {
		return err
	}
	blocks := f.disk
	if blocks == "" {
		if blocks, err = diskDir(); err != nil {
			return err
		}
	} else if _, err := os.Stat(blocks); err != nil {
		return fmt.Errorf("--cache-disk: %w", err)
	}
	if err := v.VerifyDisk(blocks); err != nil {
		return err
	}
	v.Server = client.URL()
	found, err := client.Verify(c.Context())
	switch {
	case err == nil:
		v.Answered, v.CacheProblems = true, found.Broken
	case !errors.Is(err, cachecmd.ErrNoServer) || c.Flags().Changed("url"):
		return err
	}
	if f.asJSON {
		err = console.WriteJSON(c.OutOrStdout(), v)
	} else {
		err = v.WriteText(c.OutOrStdout())
	}
	switch {
	case err != nil:
		return err
	case len(v.CacheProblems) > 0:
		return fmt.Errorf("the cache does not add up, see above: `reprise cache clear` empties it; please report the lines")
	case len(v.DiskProblems) > 0:
		return fmt.Errorf("%d bad blocks in %s, see above: a server removes them when it meets them; they can be deleted", len(v.DiskProblems), v.Disk)
	case len(v.Problems) > 0:
		return fmt.Errorf("%d problems in %s, see above: what is not a row can be deleted, the rest is to be reported", len(v.Problems), dir)
	}
	return nil
}
