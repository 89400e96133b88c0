// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func testZone() zone {
	inLab := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "lab", Name: name} }
	services := []*corev1.Service{
		{ObjectMeta: inLab("lis"), Spec: corev1.ServiceSpec{
			ClusterIP: "10.96.0.7", ClusterIPs: []string{"10.96.0.7"},
			Ports: []corev1.ServicePort{{Name: "mllp", Protocol: corev1.ProtocolTCP, Port: 2575}, {Port: 80}},
		}},
		{ObjectMeta: inLab("db"), Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}},
		{ObjectMeta: inLab("early"), Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, PublishNotReadyAddresses: true}},
		{ObjectMeta: inLab("away"), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "lis.lab.svc.cluster.local"}},
	}
	slice := func(service string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
			Ports:      []discoveryv1.EndpointPort{{Name: new("sql"), Protocol: new(corev1.ProtocolTCP), Port: new(int32(5432))}},
			Endpoints: []discoveryv1.Endpoint{
				{Addresses: []string{"10.244.0.5"}, Hostname: new("db-0"), Conditions: discoveryv1.EndpointConditions{Ready: new(true)}},
				{Addresses: []string{"10.244.0.6"}, Conditions: discoveryv1.EndpointConditions{Ready: nil}},
				{Addresses: []string{"10.244.0.7"}, Hostname: new("db-2"), Conditions: discoveryv1.EndpointConditions{Ready: new(false)}},
			},
		}
	}
	return newZone(services, []*discoveryv1.EndpointSlice{slice("db"), slice("early")})
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name string
		kind uint16
		want []string
		code int
	}{
		{"lis.lab.svc.cluster.local.", dns.TypeA, []string{"10.96.0.7"}, dns.RcodeSuccess},
		{"LIS.Lab.svc.Cluster.local.", dns.TypeA, []string{"10.96.0.7"}, dns.RcodeSuccess},
		{"lis.lab.svc.cluster.local.", dns.TypeAAAA, nil, dns.RcodeSuccess},
		{"_mllp._tcp.lis.lab.svc.cluster.local.", dns.TypeSRV, []string{"0 100 2575 lis.lab.svc.cluster.local."}, dns.RcodeSuccess},
		{"db.lab.svc.cluster.local.", dns.TypeA, []string{"10.244.0.5", "10.244.0.6"}, dns.RcodeSuccess},
		{"db-0.db.lab.svc.cluster.local.", dns.TypeA, []string{"10.244.0.5"}, dns.RcodeSuccess},
		{"10-244-0-6.db.lab.svc.cluster.local.", dns.TypeA, []string{"10.244.0.6"}, dns.RcodeSuccess},
		{"db-2.db.lab.svc.cluster.local.", dns.TypeA, nil, dns.RcodeNameError},
		{"db-2.early.lab.svc.cluster.local.", dns.TypeA, []string{"10.244.0.7"}, dns.RcodeSuccess},
		{
			"_sql._tcp.db.lab.svc.cluster.local.", dns.TypeSRV,
			[]string{"0 100 5432 db-0.db.lab.svc.cluster.local.", "0 100 5432 10-244-0-6.db.lab.svc.cluster.local."}, dns.RcodeSuccess,
		},
		{"away.lab.svc.cluster.local.", dns.TypeA, []string{"lis.lab.svc.cluster.local."}, dns.RcodeSuccess},
		{"lab.svc.cluster.local.", dns.TypeA, nil, dns.RcodeSuccess},
		{"none.lab.svc.cluster.local.", dns.TypeA, nil, dns.RcodeNameError},
		{"lis.lab.", dns.TypeA, nil, dns.RcodeNameError},
		{"example.invalid.", dns.TypeA, nil, dns.RcodeNameError},
	} {
		t.Run(fmt.Sprint(c.name, " ", dns.TypeToString[c.kind]), func(t *testing.T) {
			reply := testZone().answer(new(dns.Msg).SetQuestion(c.name, c.kind))
			var got []string
			for _, r := range reply.Answer {
				got = append(got, strings.TrimPrefix(r.String(), r.Header().String()))
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) || reply.Rcode != c.code {
				t.Errorf("got %q, %s, want %q, %s", got, dns.RcodeToString[reply.Rcode], c.want, dns.RcodeToString[c.code])
			}
			if len(c.want) == 0 && len(reply.Ns) != 1 {
				t.Errorf("without a SOA resolvers do not know how long nothing is true: %v", reply.Ns)
			}
			if _, err := reply.Pack(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSRVBringsAddresses(t *testing.T) {
	reply := testZone().answer(new(dns.Msg).SetQuestion("_mllp._tcp.lis.lab.svc.cluster.local.", dns.TypeSRV))
	if len(reply.Extra) != 1 || !strings.HasSuffix(reply.Extra[0].String(), "10.96.0.7") {
		t.Errorf("got %v", reply.Extra)
	}
}

func TestTwoQuestionsAtOnceAreRefused(t *testing.T) {
	request := new(dns.Msg).SetQuestion("lis.lab.svc.cluster.local.", dns.TypeA)
	request.Question = append(request.Question, request.Question[0])
	if reply := testZone().answer(request); reply.Rcode != dns.RcodeFormatError {
		t.Errorf("got %v", reply)
	}
}
