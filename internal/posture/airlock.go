// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/internal/airlock/report"
)

// The names of airlock's containers, as the injection gives them.
const (
	airlockContainer  = "airlock"
	redirectContainer = "airlock-redirect"
)

// WithoutAirlock leaves out of the images of a pod what labguard's injection has put in, given the images that airlock has: its init containers, by name, and
// only with one of these images. Whoever owns the workload can neither choose nor renew it. What is merely called airlock stays, and is judged as all else.
func WithoutAirlock(images []TemplateImage, airlock ...string) []TemplateImage {
	return slices.DeleteFunc(slices.Clone(images), func(image TemplateImage) bool {
		named := image.Container == airlockContainer || image.Container == redirectContainer
		return image.Init && named && image.Reference != "" && slices.Contains(airlock, image.Reference)
	})
}

// AirlockTarget is a pod with airlock that is to be asked, and what is to be tried from outside of it.
type AirlockTarget struct {
	// Pod and UID name the pod, Node is where it runs, and Addresses are all of its addresses.
	Pod       types.NamespacedName
	UID       types.UID
	Node      string
	Addresses []string
	// ID is the SPIFFE ID that its airlock must show.
	ID string
	// ClosedPorts are ports that labguard must not reach in plaintext. None: nothing is tried.
	ClosedPorts []int32
}

// AirlockFacts is what is known of one pod with airlock. The zero value knows nothing.
type AirlockFacts struct {
	// ReportedAt is when the report was read; zero: never. Failure says in one line why the last try failed, "" if it did not.
	ReportedAt time.Time
	Failure    string
	// AskedSince is since when it is asked: after a restart of labguard nothing is known of the time before. Zero: it is not asked.
	AskedSince time.Time
	Report     report.Report
	// Probes are the latest tries, one for each address and closed port.
	Probes []Probe
}

// Probe is one try to reach a port that is to be closed. It opens a connection, sends nothing and closes it.
type Probe struct {
	Address string
	Port    int32
	At      time.Time
	// Reached says that the connection was opened.
	Reached bool
	// Control says that the admin port of the same address answered from the same place within a minute: without it, what was not reached is no evidence.
	Control bool
	// Vantage is from where it was made, such as the name of a node, and SameNode that the pod runs there too.
	Vantage  string
	SameNode bool
}
