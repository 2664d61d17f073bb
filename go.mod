module github.com/planktos/planktos

go 1.26
