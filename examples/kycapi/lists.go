package kycapi

import (
	"net/http"
	"strings"
)

// A Subject is a person or a company to look up.
type Subject struct {
	Name        string `json:"name"`
	Country     string `json:"country,omitempty"`       // ISO 3166-1, two letters
	DateOfBirth string `json:"date_of_birth,omitempty"` // YYYY-MM-DD
}

// A Match is an entry of a list that matches a subject.
type Match struct {
	List  string `json:"list"`
	Name  string `json:"name"`
	Score int    `json:"score"` // of 100
}

// A CheckResult answers POST /kyc.
type CheckResult struct {
	Name    string   `json:"name"`
	Status  string   `json:"status"` // "clear" or "match"
	Lists   []string `json:"lists"`
	Matches []Match  `json:"matches"`
}

// A Watchlist is the request body of POST /kyc/watchlists: names to check again whenever
// a list changes.
type Watchlist struct {
	Name     string    `json:"name"`
	Subjects []Subject `json:"subjects"`
}

// A WatchlistResult answers POST /kyc/watchlists.
type WatchlistResult struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"`
	Subjects int           `json:"subjects"`
	Results  []CheckResult `json:"results"`
}

var lists = []string{"OFAC SDN", "UN Security Council", "EU consolidated"}

// listed are invented names.
var listed = map[string]string{
	"ivan exampletov":     "OFAC SDN",
	"sample shipping ltd": "EU consolidated",
}

func (s Subject) check() CheckResult {
	res := CheckResult{Name: s.Name, Status: "clear", Lists: lists, Matches: []Match{}}
	if list := listed[strings.ToLower(s.Name)]; list != "" {
		res.Status = "match"
		res.Matches = append(res.Matches, Match{List: list, Name: s.Name, Score: 100})
	}
	return res
}

func checkName(w http.ResponseWriter, r *http.Request) {
	var s Subject
	if !read(w, r, &s) {
		return
	}
	if s.Name == "" {
		refuse(w, http.StatusBadRequest, "bad_request", "name is missing")
		return
	}
	answer(w, http.StatusOK, s.check())
}

func createWatchlist(w http.ResponseWriter, r *http.Request) {
	var list Watchlist
	if !read(w, r, &list) {
		return
	}
	if list.Name == "" || len(list.Subjects) == 0 {
		refuse(w, http.StatusBadRequest, "bad_request", "name and at least one subject are needed")
		return
	}
	res := WatchlistResult{ID: "wl_1", Name: list.Name, Subjects: len(list.Subjects)}
	for _, s := range list.Subjects {
		res.Results = append(res.Results, s.check())
	}
	answer(w, http.StatusOK, res)
}
