// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/labguard/labguard/internal/posture/access"
	"github.com/labguard/labguard/internal/posture/rights"
)

// maxFindings is how many findings of one reason can be asked for.
const maxFindings = 10_000

// rightsOptions are the flags of rights.
type rightsOptions struct {
	machines, trusted []string
	namespace, user   string
	output            string
	limit             int
}

func newRights(p *plugin) *cobra.Command {
	o := rightsOptions{namespace: "labguard-system", user: "system:serviceaccount:labguard-system:labguard", limit: rights.DefaultLimit}
	command := &cobra.Command{
		Use:   "rights",
		Short: "who could go around the gate for people, by which binding",
		Long: "Lists whose rights (RBAC) go around the gate for people, as labguard finds them, and by which binding of which role. Machines and trusted\n" +
			"holders are those of labguard's configuration, if you may read it, and of the flags. It needs list of roles, bindings, LabWorkloads and\n" +
			"IdentityProviders of the whole cluster, and writes nothing. docs/access-findings.md says what each finding means and how it is mended.",
		Example: "  kubectl labguard rights\n  kubectl labguard rights -o json --machine system:serviceaccount:gitops:argo --trust Group/sre",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			listed, err := o.listed()
			if err != nil {
				return err
			}
			config, err := p.config()
			if err != nil {
				return err
			}
			cluster, err := newClusterRights(config)
			if err != nil {
				return err
			}
			return p.rights(command.Context(), cluster, &o, listed)
		},
	}
	flags := command.Flags()
	flags.StringArrayVar(&o.machines, "machine", nil, "another listed machine, by its user name; may be given several times")
	flags.StringArrayVar(&o.trusted, "trust", nil, "another accepted holder: User/NAME, Group/NAME or ServiceAccount/NAMESPACE/NAME; may be given several times")
	flags.StringVar(&o.namespace, "labguard-namespace", o.namespace, "namespace of labguard, with its configuration in the ConfigMap labguard")
	flags.StringVar(&o.user, "labguard-user", o.user, "user name of labguard itself")
	flags.IntVar(&o.limit, "limit", o.limit, "how many findings of each reason are listed; of the others the number")
	flags.StringVarP(&o.output, "output", "o", "", "json, or empty for a table")
	return command
}

// listed is what the flags say.
func (o *rightsOptions) listed() (rights.Input, error) {
	in := rights.Input{Own: o.user, Limit: o.limit}
	if o.output != "" && o.output != "json" {
		return in, errors.New("-o is json, or left out for a table")
	}
	if o.limit < 1 || o.limit > maxFindings {
		return in, fmt.Errorf("--limit is 1 to %d", maxFindings)
	}
	for _, name := range o.machines {
		if name == "" {
			return in, errors.New("a machine has no name: write its user name, such as system:serviceaccount:gitops:argo")
		}
		in.Machines = append(in.Machines, rights.Machine{User: name})
	}
	for _, text := range o.trusted {
		kind, name, _ := strings.Cut(text, "/")
		subject := rights.Subject{Kind: kind, Name: name}
		if kind == rbacv1.ServiceAccountKind {
			subject.Namespace, subject.Name, _ = strings.Cut(name, "/")
		}
		account := kind == rbacv1.ServiceAccountKind && subject.Namespace != ""
		if subject.Name == "" || !account && kind != rbacv1.UserKind && kind != rbacv1.GroupKind {
			return in, fmt.Errorf("--trust %s: write User/NAME, Group/NAME or ServiceAccount/NAMESPACE/NAME", text)
		}
		in.Trusted = append(in.Trusted, subject)
	}
	return in, nil
}

// rights prints the findings, and ends with an error if one of them keeps MFAEnforced from being True.
func (p *plugin) rights(ctx context.Context, cluster clusterRights, o *rightsOptions, listed rights.Input) error {
	in, err := cluster.read(ctx)
	if err != nil {
		return err
	}
	in.Own, in.Limit, in.Machines, in.Trusted = listed.Own, listed.Limit, listed.Machines, listed.Trusted
	unread := cluster.configured(ctx, o.namespace, &in)
	if unread != nil {
		if _, err := fmt.Fprintf(p.ErrOut, "labguard's configuration is not read, so only what the flags say is listed or trusted: %s\n", visibleLines(unread.Error())); err != nil {
			return err
		}
	}
	report := rights.Find(in)
	if err := p.printRights(report, o.output); err != nil {
		return err
	}
	count := 0
	for _, reason := range rights.Reasons() {
		if access.Decides(string(reason)) {
			count += report.Count(reason)
		}
	}
	switch {
	case count > 0:
		return fmt.Errorf("%s MFAEnforced from being True", several(count, "finding keeps", "findings keep"))
	case unread != nil && len(o.machines) == 0:
		return errors.New("no listed machine is known, so the list may lack something: name them with --machine")
	default:
		return nil
	}
}

func (p *plugin) printRights(report rights.Report, output string) error {
	if output == "json" {
		return p.printRightsJSON(report)
	}
	if len(report.Findings) == 0 {
		_, err := fmt.Fprintln(p.ErrOut, "Nobody's rights go around the gate for people.")
		return err
	}
	rows := make([][]string, 0, len(report.Findings))
	for _, f := range report.Findings {
		may := strings.TrimSpace(f.Verb + " " + f.Resource)
		if f.Others > 0 {
			may += " (+" + strconv.Itoa(f.Others) + ")"
		}
		rows = append(rows, []string{string(f.Reason), holder(f.Subject), may, cmp.Or(f.Namespace, "(all)"), through(f.Binding), breaks(f.Reason)})
	}
	if err := writeTable(p.Out, []string{"FINDING", "HOLDER", "MAY", "IN", "THROUGH", "BREAKS"}, rows); err != nil {
		return err
	}
	for _, reason := range rights.Reasons() {
		if rest := report.Rest[reason]; rest > 0 {
			if _, err := fmt.Fprintf(p.Out, "and %d more %s: see --limit\n", rest, reason); err != nil {
				return err
			}
		}
	}
	return nil
}

// holder is a subject as --trust takes it.
func holder(s rights.Subject) string {
	if s.Namespace != "" {
		return s.Kind + "/" + s.Namespace + "/" + s.Name
	}
	return s.Kind + "/" + s.Name
}

// through is a binding and its role, as kubectl names objects.
func through(b rights.Binding) string {
	switch {
	case b == rights.Binding{}:
		return "where it lives"
	case b.Namespace == "":
		return "clusterrolebinding/" + b.Name + " -> " + strings.ToLower(b.RoleKind) + "/" + b.RoleName
	default:
		return "rolebinding/" + b.Name + " -> " + strings.ToLower(b.RoleKind) + "/" + b.RoleName
	}
}

// breaks says in a few words what a finding takes away.
func breaks(reason rights.Reason) string {
	switch reason {
	case rights.ClusterAdmin:
		return "everything, labguard too"
	case rights.ClaimsForgeable:
		return "what a login proves"
	case rights.MachineIdentityClaimable:
		return "that people are asked to log in"
	case rights.NodesProxy:
		return "admission and audit"
	case rights.RolesEscalatable:
		return "the bounds of other roles"
	case rights.SecretsReadable:
		return "the secrecy of Secrets"
	}
	return ""
}

// rightsJSON is the answer as programs read it.
type rightsJSON struct {
	Findings []findingJSON `json:"findings"`
	// Rest counts, for each reason, the findings that are not listed.
	Rest map[rights.Reason]int `json:"rest"`
}

type findingJSON struct {
	Finding   rights.Reason `json:"finding"`
	Holder    subjectJSON   `json:"holder"`
	Verb      string        `json:"verb,omitempty"`
	Resource  string        `json:"resource,omitempty"`
	Namespace string        `json:"namespace,omitempty"`
	Others    int           `json:"others,omitempty"`
	Binding   *bindingJSON  `json:"binding,omitempty"`
	Breaks    string        `json:"breaks"`
	// Decides says that MFAEnforced is not True because of it.
	Decides bool `json:"decidesMFAEnforced"`
}

type subjectJSON struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// bindingJSON is a RoleBinding if it has a namespace, else a ClusterRoleBinding.
type bindingJSON struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	RoleKind  string `json:"roleKind"`
	RoleName  string `json:"roleName"`
}

func (p *plugin) printRightsJSON(report rights.Report) error {
	answer := rightsJSON{Findings: make([]findingJSON, 0, len(report.Findings)), Rest: report.Rest}
	for _, f := range report.Findings {
		one := findingJSON{
			Finding: f.Reason, Holder: subjectJSON(f.Subject), Verb: f.Verb, Resource: f.Resource, Namespace: f.Namespace, Others: f.Others,
			Breaks: breaks(f.Reason), Decides: access.Decides(string(f.Reason)),
		}
		if f.Binding != (rights.Binding{}) {
			binding := bindingJSON(f.Binding)
			one.Binding = &binding
		}
		answer.Findings = append(answer.Findings, one)
	}
	return p.printJSON(answer)
}
