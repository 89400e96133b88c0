// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package material

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/trust"
)

const (
	// dataLink is the link that the kubelet swaps when a mounted volume changes (its AtomicWriter): what it points to never changes.
	dataLink = "..data"
	// maxBundles is how many bundles one directory may have.
	maxBundles = 512
	bundleName = ".pem"
)

// files are the contents of one directory, as far as they could be read.
type files struct {
	configuration, certificate, key []byte
	bundles, authorities            map[string][]byte
}

// version tells whether a directory has changed: the target of the kubelet's link, or sizes and times where there is no such link.
func version(directory string) string {
	if target, err := os.Readlink(filepath.Join(directory, dataLink)); err == nil {
		return target
	}
	var told strings.Builder
	// What cannot be looked at now can be later, and then reads differently.
	_ = filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || told.Len() > config.MaxBytes {
			return fs.SkipDir
		}
		if info, err := entry.Info(); err == nil && !info.IsDir() {
			fmt.Fprintln(&told, path, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return told.String()
}

// read reads the directory that version said was current, so that certificate and key are of one time.
func read(directory, version string) (files, error) {
	if !strings.ContainsAny(version, "/\n") && version != "" {
		directory = filepath.Join(directory, version)
	}
	root, err := os.OpenRoot(directory)
	if err != nil {
		return files{}, fmt.Errorf("open mounted directory: %w", err)
	}
	defer func() { _ = root.Close() }()
	var contents files
	for _, file := range []struct {
		name string
		most int64
		into *[]byte
	}{
		{config.FileName, config.MaxBytes, &contents.configuration},
		{config.CertificateFile, trust.MaxIdentityBytes, &contents.certificate},
		{config.KeyFile, trust.MaxIdentityBytes, &contents.key},
	} {
		if *file.into, err = readFile(root, file.name, file.most); err != nil {
			return files{}, err
		}
	}
	if contents.bundles, err = readBundles(root, config.BundleDirectory); err != nil {
		return files{}, err
	}
	contents.authorities, err = readBundles(root, config.AuthorityDirectory)
	return contents, err
}

// readFile returns nil for a file that is absent. One that is too long comes back one byte longer than it may be, and its parser says so.
func readFile(root *os.Root, name string, most int64) ([]byte, error) {
	file, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open mounted file: %w", err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, fmt.Errorf("read mounted file: %w", err)
	}
	return text, nil
}

func readBundles(root *os.Root, directory string) (map[string][]byte, error) {
	bundles := map[string][]byte{}
	entries, err := fs.ReadDir(root.FS(), directory)
	if errors.Is(err, fs.ErrNotExist) {
		return bundles, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list bundles: %w", err)
	}
	for _, entry := range entries {
		name, is := strings.CutSuffix(entry.Name(), bundleName)
		if !is || !config.ValidDomain(name) {
			continue
		}
		if len(bundles) == maxBundles {
			return nil, fmt.Errorf("there are more than %d bundles in %s", maxBundles, directory)
		}
		if bundles[name], err = readFile(root, directory+"/"+entry.Name(), trust.MaxBundleBytes); err != nil {
			return nil, err
		}
	}
	return bundles, nil
}

// next makes a snapshot of what was read and of what there was before.
func next(before *Snapshot, contents files, now time.Time) *Snapshot {
	after := &Snapshot{Configuration: before.Configuration, Digest: before.Digest, Identity: before.Identity}
	var problems []string
	if configuration, digest, err := parse(before, contents.configuration); err != nil {
		problems = append(problems, err.Error())
	} else {
		after.Configuration, after.Digest = configuration, digest
	}
	after.Anchors = &trust.Anchors{}
	if after.Configuration != nil {
		after.Anchors.Domain, after.Anchors.RevokedBefore = after.Configuration.TrustDomain, after.Configuration.RevokedBefore
		after.Anchors.Reserved = reserved(after.Configuration)
	}
	after.Anchors.Bundles = parseBundles(config.BundleDirectory, contents.bundles, before.Anchors.Bundles, &problems)
	after.Anchors.Authorities = parseBundles(config.AuthorityDirectory, contents.authorities, before.Anchors.Authorities, &problems)
	after.ConfigurationError = strings.Join(problems, "; ")
	after.Identity, after.IdentityError = chooseIdentity(after, contents, now)
	return after
}

func parse(before *Snapshot, document []byte) (*config.Configuration, string, error) {
	if document == nil {
		return nil, "", errors.New("there is no " + config.FileName)
	}
	sum := sha256.Sum256(document)
	digest := hex.EncodeToString(sum[:])
	if before.Configuration != nil && digest == before.Digest {
		return before.Configuration, digest, nil
	}
	configuration, err := config.Parse(document)
	return configuration, digest, err
}

// parseBundles keeps the roots of before where a file cannot be parsed. A file that is absent or empty is no roots.
func parseBundles(directory string, texts map[string][]byte, before map[string]*trust.Bundle, problems *[]string) map[string]*trust.Bundle {
	bundles := map[string]*trust.Bundle{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		bundle, err := trust.ParseBundle(texts[name])
		if err != nil {
			*problems = append(*problems, fmt.Sprintf("%s/%s%s: %v", directory, name, bundleName, err))
			bundle = before[name]
		}
		bundles[name] = bundle
	}
	return bundles
}

func chooseIdentity(s *Snapshot, contents files, now time.Time) (*trust.Identity, string) {
	current := s.Identity
	if contents.certificate == nil && contents.key == nil {
		if current == nil {
			return nil, "there is no certificate yet"
		}
		return current, "the certificate is gone; the last one is still used"
	}
	identity, err := trust.ParseIdentity(contents.certificate, contents.key)
	if err != nil {
		return current, err.Error()
	}
	if s.Configuration == nil {
		return identity, ""
	}
	take, problem := trust.Replace(current, identity, s.Configuration.Identity, s.Anchors.Bundles[s.Configuration.TrustDomain], now)
	if take {
		return identity, problem
	}
	return current, problem
}
