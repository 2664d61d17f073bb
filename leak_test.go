package planktos

import (
	"testing"

	"github.com/planktos/planktos/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
