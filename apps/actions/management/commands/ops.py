import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from apps.actions import pacing, running
from apps.actions.management.terminal import REFUSED, WRONGLY_ASKED, Bar, refusals, show, whoever
from apps.actions.models import ActionRun
from apps.actions.running import Pace
from apps.actions.selections import Selection, closest
from apps.actions.verbs import ASKS, Acted, NotFound, Verb, nouns, slug_of, verbs_of

ENDED_BADLY = (ActionRun.Status.STOPPED, ActionRun.Status.CANCELLED, ActionRun.Status.PAUSED)


class Command(BaseCommand):
    help = (
        "Run a verb on rows: manage.py ops retry pending-operations --filter status=failed --note 'stage added'. "
        "Exits 0 when all rows moved, 1 when some were refused, 2 when the asking is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", help="retry, reset, resolve, archive, pause, resume, …")
        parser.add_argument("noun", help="pending-operations, dead-letters, queues, services, …")
        parser.add_argument("ids", nargs="*", help="the rows, by id")
        parser.add_argument("--filter", nargs="+", default=[], metavar="WORD=VALUE", help="all rows that match")
        parser.add_argument("--all", action="store_true", help="all live rows")
        for word in ASKS:
            parser.add_argument(f"--{word}")
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
        parser.add_argument("--rate", type=float, help="rows a second, for a verb that may be paced")
        parser.add_argument("--canary", action="store_true", help="one row first, then ten, then the rest")
        parser.add_argument("--yes", action="store_true", help="do not ask again before a dangerous verb")

    def handle(self, *args: Any, **options: Any) -> None:
        with refusals():
            verb = named_verb(named_noun(options["noun"]), options["verb"])
            selection = self._selection(verb, options)
            if options["dry_run"]:
                self._preview(verb, selection)
                return
            self._second_look(verb, selection, options["yes"])
            given = {word: options[word] for word in ASKS if options[word]}
            run = running.run(verb, selection, whoever(), given=given, pace=_pace(options))
            if verb.model is ActionRun:  # it stands for itself: a run that was resumed is the workers' to go on with
                self.stdout.write(_("%(verb)s: done. The run is %(state)s.") % _standing(verb, run))
                return
            self._tell(verb, self._driven(run))

    def _selection(self, verb: Verb, options: dict[str, Any]) -> Selection:
        filters = dict(_pair(text) for text in options["filter"])
        if sum(map(bool, (options["ids"], filters, options["all"]))) != 1:
            raise CommandError(_("Say which rows: ids, or --filter status=failed, or --all."), returncode=WRONGLY_ASKED)
        if options["ids"]:
            return Selection.ticked(verb.model, options["ids"])
        return Selection.matching(verb.model, filters)

    def _preview(self, verb: Verb, selection: Selection) -> None:
        preview = running.preview(verb, selection, whoever())
        told = {"verb": verb.label, "moving": preview.moving, "total": preview.total}
        self.stdout.write(_("%(verb)s: %(moving)s of %(total)s rows would move.") % told)
        self._refused(dict(preview.refused))
        seen = preview.foresight
        for sentence in [*seen.about, *preview.effects, *seen.settled, *seen.in_the_way, *seen.duration]:
            self.stdout.write(sentence)

    def _second_look(self, verb: Verb, selection: Selection, sure: bool) -> None:
        if not verb.danger or sure or not sys.stdin.isatty():
            return
        self._preview(verb, selection)
        self.stdout.write(str(verb.help))
        if input(_("Go on? [y/N] ")).strip().lower() not in ("y", "yes", "s", "sim"):
            raise CommandError(_("Nothing was done."), returncode=REFUSED)

    def _driven(self, run: ActionRun) -> ActionRun:
        """Release a large run from this process; a worker may take part."""
        bar = Bar(self.stdout, run.total)
        for state in pacing.drive(run):
            bar.show(state.moved + state.refused)
        bar.end()
        return run

    def _tell(self, verb: Verb, run: ActionRun) -> None:
        told = {"verb": verb.label, "moved": run.moved, "total": run.total, "id": run.pk}
        self.stdout.write(_("%(verb)s: %(moved)s of %(total)s rows moved. Action run %(id)s.") % told)
        show(self, run.shown_once)
        self._refused(run.refusals)
        if run.stop_reason:
            self.stderr.write(run.stop_reason)
        if run.refused or run.status in ENDED_BADLY:
            sys.exit(REFUSED)

    def _refused(self, refusals: dict[str, int]) -> None:
        for sentence, count in refusals.items():
            self.stderr.write(_("%(count)s refused: %(why)s") % {"count": count, "why": sentence})


def named_noun(word: str) -> type[Acted]:
    """Return the noun for its plural, its singular or its class's name."""
    known: dict[str, type[Acted]] = {slug_of(model): model for model in nouns()}
    for slug, model in known.items():
        if word.lower() in (slug, slug.removesuffix("s"), model._meta.model_name):
            return model
    raise NotFound(_("There is no noun %(word)s; %(hint)s") % {"word": word, "hint": closest(word, list(known))})


def named_verb(model: type[Acted], word: str) -> Verb:
    """Return a verb of a noun by its name."""
    verbs = verbs_of(model)
    name = word.replace("-", "_")
    if name not in verbs:
        told = {"plural": model._meta.verbose_name_plural, "word": word, "hint": closest(name, list(verbs))}
        raise NotFound(_("There is no verb %(word)s for %(plural)s; %(hint)s") % told)
    return verbs[name]


def _standing(verb: Verb, run: ActionRun) -> dict[str, Any]:
    return {"verb": verb.label, "state": run.get_status_display()}


def _pair(text: str) -> tuple[str, str]:
    word, equals, value = text.partition("=")
    if not equals:
        raise CommandError(_("A filter is WORD=VALUE; %(text)s has no =.") % {"text": text}, returncode=WRONGLY_ASKED)
    return word, value


def _pace(options: dict[str, Any]) -> Pace | None:
    if not options["canary"] and options["rate"] is None:
        return None
    return Pace(rate=options["rate"], canary=options["canary"])
