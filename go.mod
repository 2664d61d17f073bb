module github.com/planktos/planktos

go 1.26

require (
	github.com/alecthomas/kong v1.17.0 // indirect
	github.com/evanw/esbuild v0.28.2 // indirect
	github.com/rogpeppe/go-internal v1.16.0 // indirect
	golang.org/x/sys v0.26.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)
