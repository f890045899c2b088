package kycapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// A WatchlistRequest is the body of POST /kyc/watchlists and, with any of its fields, of
// PATCH.
type WatchlistRequest struct {
	Name           string             `json:"name,omitempty"`
	ListsToMonitor []string           `json:"lists_to_monitor,omitempty"`
	Subjects       []WatchlistSubject `json:"subjects,omitempty"`
	CheckFrequency string             `json:"check_frequency,omitempty"` // "daily", "weekly", …
	AlertConfig    json.RawMessage    `json:"alert_config,omitempty"`
	Tags           []string           `json:"tags,omitempty"`
	Status         string             `json:"status,omitempty"` // "active" or "paused"
}

// A WatchlistSubject is somebody on a watchlist.
type WatchlistSubject struct {
	SubjectID      string   `json:"subject_id,omitempty"` // the API chooses it
	FullName       string   `json:"full_name"`
	Identifier     string   `json:"identifier,omitempty"`
	IdentifierType string   `json:"identifier_type,omitempty"`
	Tags           []string `json:"tags,omitempty"`
	SessionID      string   `json:"session_id,omitempty"`
}

// A WatchlistCreated answers POST /kyc/watchlists.
type WatchlistCreated struct {
	WatchlistID string `json:"watchlist_id"`
	Message     string `json:"message"`
}

// A watchlist is one that exists, as GET shows it.
type watchlist struct {
	WatchlistID string `json:"watchlist_id"`
	TenantID    string `json:"tenant_id"`
	WatchlistRequest
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	matches   int       // at the last run
}

// A MonitorRun answers POST /kyc/watchlists/{id}/monitor.
type MonitorRun struct {
	WatchlistID     string    `json:"watchlist_id"`
	WatchlistName   string    `json:"watchlist_name"`
	SubjectsChecked int       `json:"subjects_checked"`
	TotalMatches    int       `json:"total_matches"`
	PreviousMatches int       `json:"previous_matches"`
	HasChanges      bool      `json:"has_changes"`
	CheckedAt       time.Time `json:"checked_at"`
}

// problem says what is wrong with r, or is empty.
func (r WatchlistRequest) problem() string {
	if p := unknownList(r.ListsToMonitor); p != "" {
		return p
	}
	if r.Status != "" && r.Status != "active" && r.Status != "paused" {
		return "status is not active or paused"
	}
	if slices.ContainsFunc(r.Subjects, func(s WatchlistSubject) bool { return s.FullName == "" }) {
		return "a subject's full_name is missing"
	}
	return ""
}

func (a *API) createWatchlist(w http.ResponseWriter, r *http.Request) {
	req := WatchlistRequest{ListsToMonitor: slices.Clone(lists), CheckFrequency: "daily", Status: "active"}
	if !read(w, r, &req) {
		return
	}
	p := req.problem()
	if req.Name == "" {
		p = "name is missing"
	}
	if p != "" {
		invalid(w, p)
		return
	}
	for i := range req.Subjects {
		req.Subjects[i].SubjectID = newID()
	}
	now := time.Now().UTC()
	list := &watchlist{WatchlistID: newID(), TenantID: userOf(r), WatchlistRequest: req, CreatedAt: now, UpdatedAt: now}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.watchlists[userOf(r)] = append(a.watchlists[userOf(r)], list)
	succeed(w, WatchlistCreated{WatchlistID: list.WatchlistID, Message: "Watchlist created successfully"})
}

func (a *API) listWatchlists(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	succeed(w, map[string]any{"watchlists": append([]*watchlist{}, a.watchlists[userOf(r)]...)})
}

// withWatchlist calls do with the watchlist that r's path names, while a is locked.
func (a *API) withWatchlist(w http.ResponseWriter, r *http.Request, do func(*watchlist)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, list := range a.watchlists[userOf(r)] {
		if list.WatchlistID == r.PathValue("id") {
			do(list)
			return
		}
	}
	refuse(w, http.StatusNotFound, "WATCHLIST_NOT_FOUND", "Watchlist not found")
}

func (a *API) readWatchlist(w http.ResponseWriter, r *http.Request) {
	a.withWatchlist(w, r, func(list *watchlist) { succeed(w, list) })
}

func (a *API) updateWatchlist(w http.ResponseWriter, r *http.Request) {
	a.withWatchlist(w, r, func(list *watchlist) {
		req := list.WatchlistRequest
		// JSON is decoded into the slices that are there, and may be refused afterwards.
		req.ListsToMonitor, req.Subjects, req.Tags = slices.Clone(req.ListsToMonitor), slices.Clone(req.Subjects), slices.Clone(req.Tags)
		if !read(w, r, &req) {
			return
		}
		if p := req.problem(); p != "" {
			invalid(w, p)
			return
		}
		list.WatchlistRequest, list.UpdatedAt = req, time.Now().UTC()
		succeed(w, list)
	})
}

func (a *API) deleteWatchlist(w http.ResponseWriter, r *http.Request) {
	a.withWatchlist(w, r, func(list *watchlist) {
		user := userOf(r)
		a.watchlists[user] = slices.DeleteFunc(a.watchlists[user], func(l *watchlist) bool { return l == list })
		send(w, http.StatusOK, Answer[any]{Status: "success", Message: "Watchlist deleted successfully", Meta: newMeta()})
	})
}

func (a *API) addSubject(w http.ResponseWriter, r *http.Request) {
	a.withWatchlist(w, r, func(list *watchlist) {
		var s WatchlistSubject
		if !read(w, r, &s) {
			return
		}
		if s.FullName == "" {
			invalid(w, "full_name is missing")
			return
		}
		s.SubjectID = newID()
		list.Subjects, list.UpdatedAt = append(list.Subjects, s), time.Now().UTC()
		succeed(w, s)
	})
}

func (a *API) runWatchlist(w http.ResponseWriter, r *http.Request) {
	a.withWatchlist(w, r, func(list *watchlist) {
		run := MonitorRun{
			WatchlistID: list.WatchlistID, WatchlistName: list.Name, SubjectsChecked: len(list.Subjects),
			PreviousMatches: list.matches, CheckedAt: time.Now().UTC(),
		}
		for _, s := range list.Subjects {
			subject := Subject{FullName: s.FullName, DocumentID: s.Identifier}
			run.TotalMatches += subject.screen(list.ListsToMonitor).Summary.TotalMatches
		}
		run.HasChanges, list.matches = run.TotalMatches != list.matches, run.TotalMatches
		succeed(w, run)
	})
}
