// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package standing

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// evidence is what the status says beside the condition of a requirement.
func evidence(lw *v1alpha1.LabWorkload, requirement string, now time.Time) []Evidence {
	switch requirement {
	case v1alpha1.ConditionNetworkIsolated:
		return network(lw)
	case v1alpha1.ConditionTransitEncrypted:
		return transit(lw, now)
	case v1alpha1.ConditionImagesFresh:
		return images(lw, now)
	}
	return nil
}

func network(lw *v1alpha1.LabWorkload) []Evidence {
	var lines []Evidence
	if preview := lw.Status.Preview; preview != nil {
		for _, lost := range preview.LosesPath {
			lines = append(lines, Evidence{Weight: Unsure, Text: "Enforce would cut: " + lost})
		}
	}
	return lines
}

func transit(lw *v1alpha1.LabWorkload, now time.Time) []Evidence {
	lines := certificate(lw.Status.Certificate, now)
	if progress := lw.Status.Transit; progress != nil {
		lines = append(lines, way(progress)...)
	}
	for _, port := range posture.Transit(&lw.Spec).Ports {
		for _, peer := range port.AllowFrom {
			if open := peer.Plaintext; open != nil && now.Before(open.Expires.Time) {
				text := fmt.Sprintf("port %s takes plaintext by exception: %s", port.Name, open.Reason)
				lines = append(lines, Evidence{Weight: Bad, Text: text, Until: utc(&open.Expires)})
			}
		}
	}
	return lines
}

func certificate(found *v1alpha1.CertificateStatus, now time.Time) []Evidence {
	if found == nil {
		return nil
	}
	line := Evidence{Weight: Good, Text: "certificate in Secret " + found.SecretName, Until: utc(found.NotAfter)}
	if found.Serial != "" {
		line.Text += ", serial " + found.Serial
	}
	switch {
	case line.Until == nil:
		line.Weight, line.Text = Unsure, line.Text+", not issued yet"
	case !now.Before(*line.Until):
		line.Weight, line.Text = Bad, line.Text+", has expired"
	case found.RenewalTime != nil && now.Before(found.RenewalTime.Time):
		line.Text += ", renewed from " + found.RenewalTime.UTC().Format(time.RFC3339)
	case found.RenewalTime != nil:
		line.Weight, line.Text = Unsure, line.Text+", to be renewed since "+found.RenewalTime.UTC().Format(time.RFC3339)
	}
	return []Evidence{line}
}

// way is how far the way to mutual TLS has gone.
func way(progress *v1alpha1.TransitStatus) []Evidence {
	stage := Evidence{Weight: Unsure, Text: "stage " + string(progress.Stage)}
	if progress.Stage == v1alpha1.TransitStageStrict {
		stage.Weight = Good
	}
	if progress.Pods != nil && progress.Injected != nil {
		stage.Text += fmt.Sprintf(", airlock in %d of %s", *progress.Injected, count(int(*progress.Pods), "pod"))
		if *progress.Injected < *progress.Pods {
			stage.Weight = Bad
		}
	}
	lines := []Evidence{stage}
	if progress.ProbedAt != nil {
		text := "probed at " + progress.ProbedAt.UTC().Format(time.RFC3339) + " from " + cmp.Or(progress.Vantage, "nobody knows where")
		lines = append(lines, Evidence{Weight: Note, Text: text})
	}
	if progress.ObservedSince != nil {
		lines = append(lines, Evidence{Weight: Note, Text: "no undeclared plaintext peer since " + progress.ObservedSince.UTC().Format(time.RFC3339)})
	}
	for _, port := range progress.Ports {
		text := fmt.Sprintf("port %s: airlock on %d", port.Name, port.SidecarPort)
		if len(port.Services) > 0 {
			text += ", Service " + strings.Join(port.Services, ", ")
		}
		if port.Listening != "" {
			text += ", the application is " + port.Listening
		}
		lines = append(lines, Evidence{Weight: Note, Text: text})
	}
	for _, blocker := range progress.Blockers {
		lines = append(lines, Evidence{Weight: Unsure, Text: "before the next stage: " + blocker})
	}
	return lines
}

func images(lw *v1alpha1.LabWorkload, now time.Time) []Evidence {
	lines := make([]Evidence, 0, len(lw.Status.Images))
	for i := range lw.Status.Images {
		lines = append(lines, image(&lw.Status.Images[i]))
	}
	if more := int(lw.Status.ImageCount) - len(lw.Status.Images); more > 0 {
		lines = append(lines, Evidence{Weight: Unsure, Text: "and " + count(more, "image") + " that the status has no room for"})
	}
	for _, exemption := range lw.Spec.Images.Exempt {
		if now.Before(exemption.Expires.Time) {
			lines = append(lines, Evidence{Weight: Note, Text: "exempt: " + exemption.Pattern + ": " + exemption.Reason, Until: utc(&exemption.Expires)})
		}
	}
	if preview := lw.Status.Preview; preview != nil {
		for _, refused := range preview.RefusedImages {
			lines = append(lines, Evidence{Weight: Unsure, Text: "Enforce would stop a rollout of " + refused})
		}
	}
	return lines
}

func image(found *v1alpha1.ImageStatus) Evidence {
	line := Evidence{Weight: Good, Until: utc(found.StaleAt)}
	switch found.Answer {
	case posture.ImageStale, posture.ImageTooYoung:
		line.Weight = Bad
	case posture.ImageUnknown:
		line.Weight = Unsure
	case posture.ImageExempt:
		line.Weight = Note
	}
	parts := []string{found.Answer + " " + found.Reference}
	if found.Reason != "Image"+found.Answer && found.Reason != found.Answer {
		parts[0] = found.Answer + " (" + found.Reason + ") " + found.Reference
	}
	if found.Created != nil {
		parts = append(parts, "made "+found.Created.UTC().Format(time.DateOnly)+" ("+cmp.Or(found.Evidence, "?")+")")
	}
	switch {
	case found.Pods > 0:
		parts = append(parts, "in "+count(int(found.Pods), "pod"))
	case found.Declared:
		parts = append(parts, "declared and in no pod")
	}
	if found.Admission != "" {
		parts = append(parts, "let in as "+found.Admission)
	}
	switch found.Fresher {
	case "":
	case posture.FresherNone:
		parts = append(parts, "its tag has nothing fresher")
	default:
		parts = append(parts, "its tag means a fresher build, "+found.Fresher)
	}
	line.Text = strings.Join(parts, ", ")
	return line
}

func count(number int, noun string) string {
	if number == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(number) + " " + noun + "s"
}
