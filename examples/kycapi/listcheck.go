package kycapi

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A CheckRequest is the body of POST /kyc.
type CheckRequest struct {
	Subject  Subject  `json:"subject"`
	ListName string   `json:"list_name,omitempty"`
	Lists    []string `json:"lists,omitempty"` // in the place of ListName, to screen several
}

// A Subject is a person, a company or a thing to look up.
type Subject struct {
	FullName      string       `json:"full_name,omitempty"`
	DocumentID    string       `json:"document_id,omitempty"`
	DocumentType  string       `json:"document_type,omitempty"`
	WalletAddress string       `json:"wallet_address,omitempty"`
	Identifiers   []Identifier `json:"identifiers,omitempty"`
	IMONumber     string       `json:"imo_number,omitempty"`  // of a vessel
	Nationality   string       `json:"nationality,omitempty"` // ISO 3166-1, two letters
	BirthDate     string       `json:"birth_date,omitempty"`  // YYYY-MM-DD
	EntityType    string       `json:"entity_type,omitempty"`
}

// An Identifier is a number or an address by which a subject is known.
type Identifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// A ListResult is what one list says about a subject.
type ListResult struct {
	ListName   string  `json:"list_name"`
	IsMatch    bool    `json:"is_match"`
	MatchCount int     `json:"match_count"`
	Matches    []Match `json:"matches"`
}

// A Match is an entry of a list that matches a subject.
type Match struct {
	ConfidenceScore float64   `json:"confidence_score"` // of 1
	MatchData       MatchData `json:"match_data"`
}

// MatchData is what a list says about an entry.
type MatchData struct {
	Name        string       `json:"name"`
	Nationality string       `json:"nationality"`
	Identifiers []Identifier `json:"identifiers"`
}

// A Screening answers a check of several lists.
type Screening struct {
	Summary Summary               `json:"summary"`
	Results map[string]ListResult `json:"results"` // by list
}

// A Summary is what all lists together say.
type Summary struct {
	OverallRiskLevel string `json:"overall_risk_level"` // "low" or "high"
	TotalMatches     int    `json:"total_matches"`
}

// lists are some of the API's.
var lists = []string{"ofac", "un", "eu", "uk", "canada", "australia", "switzerland"}

var entityTypes = []string{"individual", "company", "organization", "vessel", "aircraft"}

// entries are invented.
var entries = map[string][]MatchData{
	"ofac": {{Name: "Ivan Exampletov", Nationality: "XX", Identifiers: []Identifier{{Type: "Passport", Value: "X0000001"}}}},
	"eu":   {{Name: "Sample Shipping Ltd", Nationality: "XX", Identifiers: []Identifier{}}},
}

var twoLetters = regexp.MustCompile(`^[A-Z]{2}$`)

// problem says what is wrong with s, or is empty.
func (s Subject) problem() string {
	switch {
	case s.FullName == "" && s.DocumentID == "" && s.WalletAddress == "" && len(s.Identifiers) == 0 && s.IMONumber == "":
		return "subject needs at least one of full_name, document_id, wallet_address, identifiers, imo_number"
	case s.Nationality != "" && !twoLetters.MatchString(s.Nationality):
		return "subject.nationality is not two letters"
	case s.EntityType != "" && !slices.Contains(entityTypes, s.EntityType):
		return "subject.entity_type is not one of " + strings.Join(entityTypes, ", ")
	}
	if _, err := time.Parse(time.DateOnly, s.BirthDate); s.BirthDate != "" && err != nil {
		return "subject.birth_date is not YYYY-MM-DD"
	}
	return ""
}

// unknownList says which of names is no list, or is empty.
func unknownList(names []string) string {
	for _, name := range names {
		if !slices.Contains(lists, name) {
			return fmt.Sprintf("unknown list %q; known here: %s", name, strings.Join(lists, ", "))
		}
	}
	return ""
}

func (r CheckRequest) problem() string {
	if p := r.Subject.problem(); p != "" {
		return p
	}
	if (r.ListName == "") == (len(r.Lists) == 0) {
		return "one of list_name and lists is needed"
	}
	return unknownList(r.names())
}

func (r CheckRequest) names() []string {
	if r.ListName != "" {
		return []string{r.ListName}
	}
	return r.Lists
}

// check looks s up in list, by its name or an identifier.
func (s Subject) check(list string) ListResult {
	res := ListResult{ListName: list, Matches: []Match{}}
	for _, e := range entries[list] {
		named := strings.EqualFold(s.FullName, e.Name)
		known := slices.ContainsFunc(e.Identifiers, func(i Identifier) bool {
			return i.Value == s.DocumentID || slices.ContainsFunc(s.Identifiers, func(j Identifier) bool { return i.Value == j.Value })
		})
		if named || known {
			res.Matches = append(res.Matches, Match{ConfidenceScore: 1, MatchData: e})
		}
	}
	res.MatchCount = len(res.Matches)
	res.IsMatch = res.MatchCount > 0
	return res
}

func (s Subject) screen(names []string) Screening {
	out := Screening{Summary: Summary{OverallRiskLevel: "low"}, Results: map[string]ListResult{}}
	for _, name := range names {
		res := s.check(name)
		out.Results[name] = res
		out.Summary.TotalMatches += res.MatchCount
		if res.IsMatch {
			out.Summary.OverallRiskLevel = "high"
		}
	}
	return out
}

func (a *API) checkLists(w http.ResponseWriter, r *http.Request) {
	var req CheckRequest
	if !read(w, r, &req) {
		return
	}
	if p := req.problem(); p != "" {
		invalid(w, p)
		return
	}
	if req.ListName != "" {
		succeed(w, req.Subject.check(req.ListName))
		return
	}
	succeed(w, req.Subject.screen(req.Lists))
}
