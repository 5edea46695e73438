// Command differential gives every token of our corpus to Gatehouse and to the
// libraries that Go programs verify tokens with, and prints who accepts what.
//
//	cd bench && go run ./differential          the matrix
//	cd bench && go run ./differential -list    and each disagreement
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	list := flag.Bool("list", false, "print each token on which somebody is wrong, or all do not agree")
	flag.Parse()
	r, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "differential:", err)
		os.Exit(1)
	}
	fmt.Print(r.matrix())
	if *list {
		fmt.Print("\n", r.list())
	}
	if faults := r.faults(); len(faults) > 0 {
		for _, f := range faults {
			fmt.Fprintln(os.Stderr, "differential:", f)
		}
		os.Exit(1)
	}
}
