// Package archtest holds what the packages of this module may import of one another, and two files
// to what is there: docs/architecture.md, which describes the packages, and .ci/run, which installs
// what their tests ask for. It has tests only. A new package gets a line in the table floors; an
// order that no line of that table may break is a rule.
package archtest
