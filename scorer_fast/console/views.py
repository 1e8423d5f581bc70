"""The console: one page of all operations, one of each, and actions that say what they will do before they do it.

Viewing wants the permission ``view_console``, changing ``change_console``, killing ``kill_console``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from ..cutover import flag_queries, flags, rollout, rollout_rows, state
from ..cutover.flags import InvalidChange
from ..cutover.state import OperationState, State
from ..http.catalogue import BY_ID
from ..models.flags import Mode
from ..settings import conf
from . import pages

VIEW, CHANGE, KILL = (f"scorer_fast.{action}_console" for action in ("view", "change", "kill"))


def overview(request: HttpRequest, site: admin.AdminSite) -> HttpResponse:
    """Every operation."""
    _must(request, VIEW)
    return _page(request, site, "overview", {"title": "Console", **pages.overview(datetime.now(UTC))})


def operation(request: HttpRequest, site: admin.AdminSite, id_: str) -> HttpResponse:
    """One operation, with its actions for whoever may take them."""
    _must(request, VIEW)
    if id_ not in BY_ID:
        raise Http404
    period = pages.PERIODS.get(request.GET.get("period", "1h"), pages.PERIODS["1h"])
    found = pages.operation(id_, period, datetime.now(UTC), request.build_absolute_uri("/"))
    offered = [
        (name, action, action.form(initial={**_initial(found["one"]), **_scope(name, id_, found["state"])}))
        for name, action in ACTIONS.items()
        if request.user.has_perm(action.permission) and action.is_offered(found)
    ]
    return _page(request, site, "operation", {"title": id_, **found, "actions": offered})


def act(request: HttpRequest, site: admin.AdminSite, id_: str, name: str) -> HttpResponse:
    """Take an action: the first POST is answered with what will happen, the second, confirmed, does it."""
    action = ACTIONS.get(name)
    if id_ not in BY_ID or action is None:
        raise Http404
    _must(request, VIEW)
    _must(request, action.permission)
    here = reverse(f"{site.name}:scorer_fast_console_operation", args=[id_])
    if request.method != "POST":
        return HttpResponseRedirect(here)
    form = action.form(request.POST)
    one = state.read(datetime.now(UTC), [id_]).operations[id_]
    problem = ""
    if form.is_valid():
        try:
            if "confirmed" in request.POST:
                done = action.do(id_, form.cleaned_data, request.user.get_username())
                messages.success(request, f"Done. {done}")
                return HttpResponseRedirect(here)
        except InvalidChange as error:
            problem = str(error)
    will = action.will(one, form.cleaned_data) if form.is_valid() and not problem else ""
    context = {
        "title": f"{action.label}: {id_}",
        "one": one,
        "form": form,
        "action": action,
        "name": name,
        "will": will,
        "problem": problem,
        "back": here,
    }
    return _page(request, site, "confirm", context)


def _must(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied


def _page(request: HttpRequest, site: admin.AdminSite, name: str, context: dict[str, Any]) -> HttpResponse:
    context = {**site.each_context(request), **context, "is_nav_sidebar_enabled": False}
    return TemplateResponse(request, f"scorer_fast/console/{name}.html", context)


# ---- actions


class Reasoned(forms.Form):
    reason = forms.CharField(
        max_length=500, widget=forms.TextInput(attrs={"size": 60}), label="Reason", help_text="kept in the log"
    )

    field_order: list[str] | None = None


class SetForm(Reasoned):
    mode = forms.ChoiceField(choices=[(mode.value, f"{mode.value}: {mode.label}") for mode in Mode])
    percent = forms.DecimalField(
        required=False, min_value=0, max_value=100, decimal_places=2, label="Percent", help_text="for split alone"
    )
    allow = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2}), label="Allow list",
        help_text="addresses that split always gives to the fast path",
    )  # fmt: skip
    deny = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2}), label="Deny list",
        help_text="addresses that the host always answers",
    )  # fmt: skip
    percent_was = forms.DecimalField(required=False, widget=forms.HiddenInput)
    field_order = ["mode", "percent", "allow", "deny", "reason"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        mode, percent = cleaned.get("mode"), cleaned.get("percent")
        if mode != Mode.SPLIT and percent is not None and percent == cleaned.get("percent_was"):
            cleaned["percent"] = percent = None  # the page filled it in, nobody asked for it
        if mode == Mode.SPLIT and percent is None:
            self.add_error("percent", "Mode split needs a percentage: 0 to 100.")
        if mode != Mode.SPLIT and percent:
            self.add_error("percent", f"Mode {mode} takes no percentage. For {percent} % of addresses choose split.")
        for name in ("allow", "deny"):
            try:
                cleaned[name] = flags.addresses(cleaned.get(name, "").split()).split()
            except InvalidChange as error:
                self.add_error(name, str(error))
        return cleaned


class KillForm(Reasoned):
    scope = forms.ChoiceField(
        choices=[("operation", "this operation"), ("group", "its group"), ("all", "every operation")],
        label="What",
    )
    field_order = ["scope", "reason"]


class RolloutForm(Reasoned):
    scope = forms.ChoiceField(choices=[("operation", "this operation"), ("group", "its group")], label="What")
    steps = forms.CharField(initial=rollout.STEPS, help_text="shadow, then percentages", widget=forms.TextInput)
    hold = forms.CharField(initial="1h", help_text="how long each step is held at least: 90s, 30m, 1h")
    field_order = ["scope", "steps", "hold", "reason"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name, parse in (("steps", rollout.parse_steps), ("hold", rollout.parse_hold)):
            try:
                parse(cleaned.get(name, ""))
            except InvalidChange as error:
                self.add_error(name, str(error))
        return cleaned


@dataclass(frozen=True, slots=True)
class Action:
    """Something a person may do: what it will do as a sentence, and doing it, which answers what was done."""

    label: str
    permission: str
    form: type[Reasoned]
    is_offered: Callable[[dict[str, Any]], bool]
    will: Callable[[OperationState, dict[str, Any]], str]
    do: Callable[[str, dict[str, Any], str], str]


def _initial(one: OperationState) -> dict[str, Any]:
    return {
        "mode": one.mode,
        "percent": one.percent,
        "percent_was": one.percent,
        "allow": "\n".join(one.allow),
        "deny": "\n".join(one.deny),
    }


def _scope(name: str, id_: str, seen: State) -> dict[str, str]:
    """What releasing is most likely meant for: the switch that is thrown."""
    thrown = {row.target for row in seen.kill_switches}
    return {"scope": "all"} if name == "release" and flags.ALL in thrown and id_ not in thrown else {}


def _target(id_: str, form: dict[str, Any]) -> str:
    return {"operation": id_, "group": BY_ID[id_].group, "all": flags.ALL}[form["scope"]]


def _will_set(one: OperationState, form: dict[str, Any]) -> str:
    share = {Mode.FAST: 100.0, Mode.SPLIT: float(form["percent"] or 0)}.get(Mode(form["mode"]), 0.0)
    text = f"{one.operation} goes from {one.asked} to {form['mode']}"
    text += f" {form['percent']} %" if form["mode"] == Mode.SPLIT else ""
    if one.stopped_by:
        return f"{text}. No address changes sides now: the host answers all the same ({', '.join(one.stopped_by)})."
    return f"{text}. {pages.moves(one, share)}"


def _set(id_: str, form: dict[str, Any], by: str) -> str:
    mode = form["mode"]
    percent = form["percent"] if mode == Mode.SPLIT else None
    was, is_ = flags.set_mode(id_, mode, percent, form["reason"], by, allow=form["allow"], deny=form["deny"])
    return f"{id_}: {is_}" + (" (as before)" if was == is_ else f" (was {was})")


def _will_kill(one: OperationState, form: dict[str, Any]) -> str:
    target = _target(one.operation, form)
    name = "every operation" if target == flags.ALL else ", ".join(flags.members(target))
    return f"The host answers {name} within about a second, whatever the flags say, until somebody releases it."


def _will_release(one: OperationState, form: dict[str, Any]) -> str:
    target = _target(one.operation, form)
    released = {flags.ALL} if target == flags.ALL else set(flags.members(target))
    left = [row.target for row in flag_queries.list_active_kills(conf.database) if row.target not in released]
    left = [switch for switch in left if one.operation in flags.members(switch)]
    if left:
        return f"The host still answers {one.operation}: it stays killed by the switch of {_name(left[0])}."
    whose = "all operations" if target == flags.ALL else ", ".join(flags.members(target))
    return f"Within about a second what is set for {whose} counts again. {_back(one, 'kill switch')}"


def _back(one: OperationState, stop: str) -> str:
    """What happens to an operation when one of what stops it is taken away."""
    left = [other for other in one.stopped_by if other != stop]
    if left:
        return f"The host still answers {one.operation}: {', '.join(left)}."
    return f"{one.operation} goes back to {one.asked}. {pages.moves(one, one.asked_share)}"


def _name(switch: str) -> str:
    return "every operation" if switch == flags.ALL else switch


def _kill(id_: str, form: dict[str, Any], by: str) -> str:
    return _throw(id_, form, by, flags.kill, "killed")


def _release(id_: str, form: dict[str, Any], by: str) -> str:
    return _throw(id_, form, by, flags.release, "released")


def _throw(id_: str, form: dict[str, Any], by: str, throw: Callable[..., bool], state_: str) -> str:
    target = _target(id_, form)
    targets = (flags.ALL,) if target == flags.ALL else flags.members(target)
    done = [one for one in targets if throw(one, reason=form["reason"], by=by)]
    already = [one for one in targets if one not in done]
    parts = [f"{', '.join(done)}: {state_}"] if done else []
    parts += [f"{', '.join(already)}: was {state_} already"] if already else []
    left = [row.target for row in flag_queries.list_active_kills(conf.database)] if state_ == "released" else []
    parts += [f"still killed: {', '.join(left)}"] if left else []
    return "; ".join(parts)


def _lift(id_: str, form: dict[str, Any], by: str) -> str:
    return f"{id_}: lifted (was latched by {flags.lift(id_, reason=form['reason'], by=by)})"


def _will_start(one: OperationState, form: dict[str, Any]) -> str:
    target = _target(one.operation, form)
    steps = rollout.parse_steps(form["steps"])
    members = flags.members(target)
    first = steps[0]
    share = 0.0 if first == rollout_rows.SHADOW else float(first)
    return (
        f"{', '.join(members)} {'goes' if len(members) == 1 else 'go'} to {rollout_rows.shown(first)} now, then on "
        f"without anybody: {', '.join(rollout_rows.shown(step) for step in steps)}. Each step is held for at least "
        f"{form['hold']}, and until the guard says fine. {pages.moves(one, share)}"
    )


def _start(id_: str, form: dict[str, Any], by: str) -> str:
    now = datetime.now(UTC)
    row = rollout.start(_target(id_, form), form["steps"], form["hold"], reason=form["reason"], by=by, now=now)
    return rollout.said(row, now)


def _change(function: Callable[..., Any]) -> Callable[[str, dict[str, Any], str], str]:
    def do(id_: str, form: dict[str, Any], by: str) -> str:
        now = datetime.now(UTC)
        return rollout.said(function(id_, reason=form["reason"], by=by, now=now), now)

    return do


def _is(*states: str) -> Callable[[dict[str, Any]], bool]:
    return lambda found: found["rollout"] is not None and found["rollout"].state in states


ACTIONS: dict[str, Action] = {
    "set": Action("Set the mode", CHANGE, SetForm, lambda found: True, _will_set, _set),
    "kill": Action(
        "Kill", KILL, KillForm, lambda found: "kill switch" not in found["one"].stopped_by, _will_kill, _kill
    ),
    "release": Action(
        "Release the kill switch", KILL, KillForm, lambda found: "kill switch" in found["one"].stopped_by,
        _will_release, _release,
    ),
    "lift": Action(
        "Lift the latch", CHANGE, Reasoned, lambda found: "latch" in found["one"].stopped_by,
        lambda one, form: _back(one, "latch"), _lift,
    ),
    "rollout-start": Action(
        "Start a rollout", CHANGE, RolloutForm, lambda found: found["rollout"] is None, _will_start, _start
    ),
    "rollout-pause": Action(
        "Pause the rollout", CHANGE, Reasoned, _is("running"),
        lambda one, form: f"It stays at its present step: {one.asked}.", _change(rollout.pause),
    ),
    "rollout-resume": Action(
        "Resume the rollout", CHANGE, Reasoned, _is("paused"),
        lambda one, form: "It goes on at its present step, whose holding time begins anew.", _change(rollout.resume),
    ),
    "rollout-abort": Action(
        "Abort the rollout", CHANGE, Reasoned, _is("running", "paused"),
        lambda one, form: f"It ends, and the host answers all of its operations. {pages.moves(one, 0.0)}",
        _change(rollout.abort),
    ),
}  # fmt: skip
