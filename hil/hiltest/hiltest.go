// Package hiltest holds the fakes that the harness is tested with, beside the
// interfaces they stand in for. They know no clock but the standard one, so a
// testing/synctest bubble runs them in virtual time.
//
// A fake fails in two ways that a test must be able to tell apart: as the
// device it plays would (unplugged, stalled), and because the code under test
// did something that the test did not foresee. The second kind is a [Fault].
package hiltest
