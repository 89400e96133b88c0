// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	program "github.com/labguard/labguard/internal/e2e/lab"
)

// command is how kubectl goes a way.
type command struct {
	words string
	// shows is what is printed once the way is open.
	shows string
	// then is looked at when that is printed.
	then func(ctx context.Context, printed, folder string) error
}

// commands are for the same ways as in ways.
var commands = map[string]command{
	"exec":   {words: "exec POD -- /tar say hello", shows: "hello"},
	"attach": {words: "attach POD", shows: strings.TrimSpace(program.Tick)},
	"port-forward": {words: "port-forward POD :" + deskPort, shows: "Forwarding from", then: func(ctx context.Context, printed, _ string) error {
		address := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(printed)
		return answers(ctx, http.DefaultTransport, "http://"+address+"/")
	}},
	"cp": {words: "cp POD:" + deskFile + " FOLDER/copy", then: func(_ context.Context, _, folder string) error {
		content, err := os.ReadFile(filepath.Join(folder, "copy"))
		return expected(string(content), deskText, err)
	}},
	"debug":         {words: "debug POD --image=IMAGE --attach --quiet -- /tar tick", shows: strings.TrimSpace(program.Tick)},
	"pod proxy":     {words: "get --raw /api/v1/namespaces/NAMESPACE/pods/POD:" + deskPort + "/proxy/", shows: strings.TrimSpace(program.DeskAnswer)},
	"Service proxy": {words: "get --raw /api/v1/namespaces/NAMESPACE/services/desk:" + deskPort + "/proxy/", shows: strings.TrimSpace(program.DeskAnswer)},
}

// printed gathers what a program prints, and ends the program when that is enough.
type printed struct {
	sync.Mutex
	text   []byte
	enough func(text string) bool
	end    context.CancelFunc
	came   bool
}

// Write implements io.Writer.
func (p *printed) Write(text []byte) (int, error) {
	p.Lock()
	defer p.Unlock()
	p.text = append(p.text, text...)
	if !p.came && p.enough(string(p.text)) {
		p.came = true
		p.end()
	}
	return len(text), nil
}

// String is all that was printed.
func (p *printed) String() string {
	p.Lock()
	defer p.Unlock()
	return string(p.text)
}

// run runs kubectl until it has shown that the way is open, or ends by itself.
func (c command) run(ctx context.Context, folder, kubeconfig string, to target, transport string) error {
	ctx, cancel := context.WithTimeout(ctx, wayTimeout)
	defer cancel()
	running, end := context.WithCancel(ctx)
	defer end()
	filled := strings.NewReplacer("POD", to.pod, "NAMESPACE", to.namespace, "IMAGE", to.image, "FOLDER", folder).Replace(c.words)
	kubectl := exec.CommandContext(running, "../../bin/devcluster", append([]string{"kubectl", "--kubeconfig=" + kubeconfig}, strings.Fields(filled)...)...)
	sockets := fmt.Sprint(transport == webSocket)
	kubectl.Env = append(os.Environ(), "KUBECTL_REMOTE_COMMAND_WEBSOCKETS="+sockets, "KUBECTL_PORT_FORWARD_WEBSOCKETS="+sockets, "KUBERC=off", "KUBECACHEDIR="+folder)
	var then error
	output := &printed{end: end, enough: func(text string) bool {
		if c.shows == "" || !strings.Contains(text, c.shows+"\n") && !(c.then != nil && strings.Contains(text, c.shows)) {
			return false
		}
		if c.then != nil {
			then = c.then(ctx, text, folder)
		}
		return true
	}}
	kubectl.Stdout, kubectl.Stderr = output, output
	err := kubectl.Run()
	switch {
	case output.came:
		return then
	case err != nil:
		return fmt.Errorf("%w: %s", err, output.String())
	case c.shows != "":
		return errors.New("it ends without a word of the pod: " + output.String())
	}
	return c.then(ctx, output.String(), folder)
}

// kubectlItself goes the ways by the program that people use.
func kubectlItself(t *testing.T, p *people) {
	tries := []struct {
		who       person
		transport string
	}{{p.alice, webSocket}, {p.alice, spdyStream}, {p.oneFactor, webSocket}, {p.oneFactor, spdyStream}}
	const atOnce = 4
	var all errgroup.Group
	all.SetLimit(atOnce)
	for _, try := range tries {
		kubeconfig := p.kubeconfig(try.who)
		for name := range ways {
			folder := t.TempDir()
			all.Go(func() error {
				err := commands[name].run(context.WithoutCancel(t.Context()), folder, kubeconfig, p.desk, try.transport)
				if fault := judge(err, try.who.says); fault != nil {
					t.Errorf("%s, kubectl for %s by %s: %v", try.who.name, name, try.transport, fault)
				}
				return nil
			})
		}
	}
	_ = all.Wait()
}
