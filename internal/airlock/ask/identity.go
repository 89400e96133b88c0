// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	// identityFor is how long what was read counts.
	identityFor = 10 * time.Second
	// maxIdentityFile bounds each of the two files.
	maxIdentityFile = 64 << 10
	certificateFile = "tls.crt"
	keyFile         = "tls.key"
)

// Identity is labguard's own certificate in a directory, read anew when it changes. A pair that does not work never replaces one that does.
type Identity struct {
	// Directory has tls.crt and tls.key, as of a mounted Secret.
	Directory string
	// ID is the SPIFFE ID that the certificate must have.
	ID    string
	Clock clock.PassiveClock

	lock         sync.Mutex
	until        time.Time
	content, key []byte
	current      *tls.Certificate
	problem      error
}

// Certificate is the certificate of the moment.
func (i *Identity) Certificate() (*tls.Certificate, error) {
	i.lock.Lock()
	defer i.lock.Unlock()
	now := i.Clock.Now()
	if !now.Before(i.until) {
		i.until = now.Add(identityFor)
		i.problem = i.read()
	}
	switch {
	case i.current != nil && !now.After(i.current.Leaf.NotAfter):
		return i.current, nil
	case i.problem != nil:
		return nil, i.problem
	default:
		return nil, errors.New("its certificate has expired")
	}
}

func (i *Identity) read() error {
	content, err := readFile(filepath.Join(i.Directory, certificateFile))
	if err != nil {
		return err
	}
	key, err := readFile(filepath.Join(i.Directory, keyFile))
	if err != nil {
		return err
	}
	if i.current != nil && bytes.Equal(content, i.content) && bytes.Equal(key, i.key) {
		return nil
	}
	pair, err := tls.X509KeyPair(content, key)
	if err != nil || pair.Leaf == nil {
		return errors.New("certificate and key in the directory are no pair, or one of them is cut off")
	}
	if len(pair.Leaf.URIs) != 1 || pair.Leaf.URIs[0].String() != i.ID {
		return fmt.Errorf("the certificate in the directory is not for %s", i.ID)
	}
	i.content, i.key, i.current = content, key, &pair
	return nil
}

// readFile reads a bounded file. Its errors name the file and nothing of what is in it.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the path is the platform team's own flag
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read yet", filepath.Base(path))
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxIdentityFile+1))
	if err != nil || len(content) > maxIdentityFile {
		return nil, fmt.Errorf("%s cannot be read, or is too long", filepath.Base(path))
	}
	return content, nil
}
