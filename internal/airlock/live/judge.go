// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"time"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/material"
	"github.com/labguard/labguard/internal/airlock/trust"
)

// Ends of a connection that this package gives.
const (
	// PeerExpired means that the certificate of the peer has ended and the connection was quiet, TooOld that maxConnectionAge has passed.
	PeerExpired = "PeerExpired"
	TooOld      = "TooOld"
	// FallbackEnded means that plaintext to this upstream is no longer allowed and the connection was quiet.
	FallbackEnded = "FallbackEnded"
	// HalfClosedIdle means that one side was done and the other was silent for long after.
	HalfClosedIdle = "HalfClosedIdle"
	// Draining means that the pod ends.
	Draining = "Draining"
)

const (
	// quiet is for how long no byte may have gone either way for a moment to be quiet.
	quiet = 5 * time.Second
	// drainQuiet is the same while the pod ends, when there is less time.
	drainQuiet = time.Second
	// finishWithin is how long a server gets to close after it was told that nothing more comes.
	finishWithin = 5 * time.Second
	// halfClosedIdle is how long a connection may be silent of which one side is done: a client that is gone for good would hold its place for ever.
	halfClosedIdle = 15 * time.Minute
)

// verdict is what becomes of a connection: end says why it has to end at once, mark why in a quiet moment.
type verdict struct{ end, mark string }

// judge judges a connection by a snapshot.
func judge(c *Connection, snapshot *material.Snapshot) verdict {
	// Without a configuration nothing was ever allowed, so that nothing can have been withdrawn.
	if snapshot.Configuration == nil {
		return verdict{}
	}
	switch {
	case c.Upstream != "":
		upstream, found := snapshot.Upstream(c.Upstream)
		switch {
		case !found:
			return verdict{end: string(trust.NotAllowed)}
		case !c.Secure && !upstream.Fallback:
			return verdict{mark: FallbackEnded}
		case !c.Secure:
			return verdict{}
		}
		return standing(c, []config.Peer{{ID: upstream.ID}}, snapshot)
	case c.Port != 0:
		for _, port := range snapshot.Configuration.Ports {
			if port.Port == c.Port {
				return standing(c, port.Peers, snapshot)
			}
		}
		return verdict{end: string(trust.NotAllowed)}
	default:
		return verdict{}
	}
}

func standing(c *Connection, peers []config.Peer, snapshot *material.Snapshot) verdict {
	return verdict{end: string(trust.ReasonOf(trust.Standing(c.Peer, peers, snapshot.Anchors)))}
}

// due ends a connection whose time has come.
func due(c *Connection, mark string, age time.Duration, now time.Time) {
	session := c.Session
	silent := now.Sub(session.LastByte())
	if finishing := session.Finishing(); !finishing.IsZero() {
		if now.Sub(finishing) >= finishWithin {
			session.Abort(mark)
		}
		return
	}
	if mark == "" && c.Secure && now.After(c.Peer.NotAfter) {
		mark = PeerExpired
	}
	wait := quiet
	if mark == Draining {
		wait = drainQuiet
	}
	switch {
	case mark != "" && silent >= wait:
		session.Finish(mark)
	case age > 0 && now.Sub(session.Started()) >= age:
		session.Finish(TooOld)
	case !session.HalfClosed().IsZero() && silent >= halfClosedIdle:
		session.Abort(HalfClosedIdle)
	}
}
