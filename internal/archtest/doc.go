// Package archtest holds what the packages of this module may import of one another, and
// docs/architecture.md, which describes them, to what is there. It has tests only. A new package gets a line in the table floors; an order that no
// line of that table may break is a rule.
package archtest
