// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// mention is where a pod is told to connect to a Service. It never has the value that tells so, which may hold a password.
type mention struct {
	where string
	// port is that of the Service, 0 if none is named.
	port int32
}

// hosts are names in a text, with or without a port.
var hosts = regexp.MustCompile(`[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?`)

// addressed are ends of the names of variables whose value is an address.
var addressed = []string{"HOST", "HOSTNAME", "ADDR", "ADDRESS", "SERVER", "URL", "URI", "ENDPOINT", "TARGET", "UPSTREAM"}

// longestValue bounds what is looked through of one value.
const longestValue = 64 << 10

// mentions finds a Service in what is written in a pod spec: variables, commands and arguments. What comes from ConfigMaps and Secrets is not read.
func mentions(spec *corev1.PodSpec, from string, service *corev1.Service) []mention {
	var found []mention
	look := func(where, value string, isAddress bool) {
		for _, port := range named(value, from, service, isAddress) {
			found = append(found, mention{where, port})
		}
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			c := &containers[i]
			for _, variable := range c.Env {
				upper := strings.ToUpper(variable.Name)
				isAddress := slices.ContainsFunc(addressed, func(end string) bool { return strings.HasSuffix(upper, end) })
				look("env "+variable.Name+" of container "+c.Name, variable.Value, isAddress)
			}
			for _, argument := range slices.Concat(c.Command, c.Args) {
				look("an argument of container "+c.Name, argument, false)
			}
		}
	}
	return found
}

// named are the ports under which a text names a Service, 0 for none.
func named(text, from string, service *corev1.Service, isAddress bool) []int32 {
	if len(text) > longestValue {
		text = text[:longestValue]
	}
	if text = strings.ToLower(text); !strings.Contains(text, service.Name) {
		return nil
	}
	var ports []int32
	for _, at := range hosts.FindAllStringIndex(text, -1) {
		word, before := text[at[0]:at[1]], text[:at[0]]
		host, portText, hasPort := strings.Cut(word, ":")
		number, _ := strconv.ParseInt(portText, 10, 32)
		if hasPort && !slices.ContainsFunc(service.Spec.Ports, func(port corev1.ServicePort) bool { return int64(port.Port) == number }) {
			continue
		}
		isURL := strings.HasSuffix(before, "//") || strings.HasSuffix(before, "@")
		isWhole := isAddress && len(strings.TrimSpace(text)) == len(word)
		if isService(host, from, service, hasPort || isURL || isWhole) {
			ports = append(ports, int32(number))
		}
	}
	return ports
}

// isService says whether a host is a Service. A bare name counts only in the Service's own namespace, and only where it is an address: with a port of the
// Service, in a URL, or as the whole of what is said to be one. A name with the namespace is nothing else.
func isService(host, from string, service *corev1.Service, isAddress bool) bool {
	qualified := service.Name + "." + service.Namespace
	if host == service.Name {
		return isAddress && from == service.Namespace
	}
	return host == qualified || host == qualified+".svc" || strings.HasPrefix(host, qualified+".svc.")
}
