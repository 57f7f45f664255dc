// Does one expectation hold? Items go by one at a time; counts and the first few examples are kept.

import { countText } from '../report/align.ts';
import type { KnownNames } from './description.ts';
import type { Claim, Expectation, Items, Quantifier, Subject } from './expectation.ts';
import { EXAMPLES_MAX, type Example, type ExpectationResult, type Failure } from './report.ts';
import type { Place } from './yaml.ts';

const NOUNS: Record<Subject, readonly [one: string, many: string]> = {
  packets: ['packet', 'packets'],
  flows: ['flow', 'flows'],
  rules: ['rule', 'rules'],
  table: ['entry', 'entries'],
};

function number(count: number, subject: Subject): string {
  return `${countText(count)} ${NOUNS[subject][count === 1 ? 0 : 1]}`;
}

/** What is wrong with a claim is shown by those that meet it, or by those that do not. */
const SHOWN_BY: Record<Quantifier, boolean> = { all: false, none: true, some: false };

class Shown {
  total = 0;
  readonly first: Example[] = [];

  add(example: () => Example): void {
    this.total++;
    if (this.first.length < EXAMPLES_MAX) this.first.push(example());
  }
}

export class ExpectationTally<Kind extends Subject> {
  private selected = 0;
  private readonly meeting: number[];
  private readonly shown: Shown[];
  private readonly chosen = new Shown();
  private readonly unjudged = new Shown();

  /** @param example describes an item for people, while it is there */
  constructor(
    readonly expectation: Extract<Expectation, { subject: Kind }>,
    private readonly example: (item: Items[Kind]) => Example,
  ) {
    this.meeting = this.claims.map(() => 0);
    this.shown = this.claims.map(() => new Shown());
  }

  private get claims(): readonly Claim<Items[Kind]>[] {
    return this.expectation.claims as readonly Claim<Items[Kind]>[];
  }

  add(item: Items[Kind]): void {
    this.selected++;
    const { claims } = this;
    for (let i = 0; i < claims.length; i++) {
      const { quantifier, test } = claims[i]!;
      const meets = test(item);
      if (meets) this.meeting[i]!++;
      if (meets === SHOWN_BY[quantifier]) this.shown[i]!.add(() => this.example(item));
    }
    if (this.expectation.count.last !== Number.POSITIVE_INFINITY) this.chosen.add(() => this.example(item));
  }

  /** A packet that the selection describes, but for its having no verdict. */
  addUnjudged(item: Items[Kind]): void {
    this.unjudged.add(() => this.example(item));
  }

  result(known: KnownNames): ExpectationResult {
    const { name, subject, place, names } = this.expectation;
    const failures = [
      ...names.filter(({ exists }) => !exists(known)).map((check) => nameFailure(check.kind, check.place)),
      ...this.countFailures(),
      ...this.claims.flatMap((claim, index) => this.claimFailures(claim, index)),
    ];
    const { file, line } = place.source.position(place);
    return { name, file, line, subject, selected: this.selected, holds: failures.length === 0, failures };
  }

  private countFailures(): Failure[] {
    const { subject, count } = this.expectation;
    const { selected, unjudged } = this;
    if (selected >= count.first && selected <= count.last) return [];
    const wanted = count.place === this.expectation.selection ? '' : `, not ${count.place.source.excerpt(count.place)}`;
    const [one] = NOUNS[subject];
    const hint =
      selected === 0 && unjudged.total > 0
        ? `; ${number(unjudged.total, subject)} that it describes ${unjudged.total === 1 ? 'has' : 'have'} no verdict ` +
          'and would be selected with verdict: NONE'
        : '';
    const message =
      selected === 0 ? `selects no ${one}${wanted}${hint}` : `selects ${number(selected, subject)}${wanted}`;
    return [failure('count', count.place, message, selected === 0 ? unjudged : this.chosen)];
  }

  private claimFailures({ quantifier, place }: Claim<Items[Kind]>, index: number): Failure[] {
    const { selected } = this;
    const { subject } = this.expectation;
    const meeting = this.meeting[index]!;
    const shown = this.shown[index]!;
    const said = place.source.excerpt(place);
    // That nothing is selected is told already, or as it should be.
    if (selected === 0) return [];
    const whole = number(selected, subject);
    switch (quantifier) {
      case 'all':
        if (meeting === selected) return [];
        return [
          failure(
            'all',
            place,
            `${countText(shown.total)} of ${whole} ${shown.total === 1 ? 'does' : 'do'} not meet ${said}`,
            shown,
          ),
        ];
      case 'none':
        if (meeting === 0) return [];
        return [
          failure(
            'none',
            place,
            `${countText(meeting)} of ${whole} ${meeting === 1 ? 'meets' : 'meet'} ${said}`,
            shown,
          ),
        ];
      case 'some':
        if (meeting > 0) return [];
        return [failure('some', place, `none of ${whole} meets ${said}`, shown)];
    }
  }
}

function failure(claim: Failure['claim'], place: Place, message: string, { total, first }: Shown): Failure {
  const { line, column } = place.source.position(place);
  return { claim, line, column, message, total, first };
}

function nameFailure(kind: 'rule' | 'interface', place: Place): Failure {
  const said = place.source.excerpt(place);
  const message = kind === 'rule' ? `the ruleset has no such rule: ${said}` : `there is no such interface: ${said}`;
  return failure('name', place, message, new Shown());
}
