// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"net/http"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/ledger"
)

func (a *answer) wasHeld() bool { return a.old != nil && hold.Marked(a.old.Annotations) }

// mustHold says whether the object has to be held after this write: its images are to be held, or it is held and this write is not labguard's release.
// Nobody else's write releases, also when its images are fine: what it brings for the field of the hold cannot be told from labguard's own value.
func (a *answer) mustHold() bool { return a.decision.Held || a.wasHeld() && !a.releases }

// cannotHold says why the write cannot be held. A debug container is warned about whatever the answer.
func (a *answer) cannotHold() string {
	if a.request.SubResource == ephemeralContainers {
		return ""
	}
	old, object, err := a.objects()
	if err != nil {
		return err.Error()
	}
	return hold.Cannot(old, object)
}

// objects are the old and the new object of the request, decoded anew for each call, as the new one is changed.
func (a *answer) objects() (old, object *hold.Object, err error) {
	if object, err = hold.Read(a.root.Kind, a.request.Object.Raw); err != nil || a.old == nil {
		return nil, object, err
	}
	old, err = hold.Read(a.root.Kind, a.request.OldObject.Raw)
	return old, object, err
}

// patchHold holds the object, or gives back what labguard releases and records what is admitted with that.
func (a *answer) patchHold() admission.Response {
	old, object, err := a.objects()
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	if a.mustHold() {
		err = hold.Put(old, object)
		if hold.Cannot(old, object) != "" {
			return admission.Allowed("") // the validating webhook refuses and says why
		}
	} else {
		hold.Release(old, object)
		if len(a.decision.Admit) > 0 {
			err = object.Annotate(ledger.Annotations(a.decision.Admit, a.set, a.earlier()))
		}
	}
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	changed, err := object.JSON()
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(a.request.Object.Raw, changed)
}

// notHeld says what is wrong with an object that has to be held; empty if it is held.
func (a *answer) notHeld() string {
	old, object, err := a.objects()
	if err != nil {
		return err.Error()
	}
	if problem := hold.Cannot(old, object); problem != "" {
		return fmt.Sprintf("labguard: %s %s is held until its images are fine, and this write would let it roll out: %s", a.root.Kind, a.root.Name, problem)
	}
	if !object.Held() {
		return fmt.Sprintf("labguard: %s %s has to be held, and became so after labguard looked at this request: send it again", a.root.Kind, a.root.Name)
	}
	return ""
}

// heldText says what becomes of the object, and what a person cannot do by hand meanwhile.
func (a *answer) heldText() string {
	subject := fmt.Sprintf("labguard: %s %s is held", a.root.Kind, a.root.Name)
	if !a.decision.Held {
		return subject + " and its images are fine: labguard releases it in a moment, and gives back what the hold has replaced"
	}
	text := subject + ": it is stored and does not roll out; labguard releases it when its images are fine, and gives back what the hold has replaced " +
		"(a pause or suspension of your own that comes in meanwhile cannot be told from the hold)"
	if last := a.set.Last(a.root.Template.References()); last != "" {
		text += "; to end it now, revert the image to " + last + " where it is declared"
	}
	return text
}

func (a *answer) earlier() []string {
	if a.old == nil {
		return nil
	}
	return ledger.References(a.old.Annotations)
}
