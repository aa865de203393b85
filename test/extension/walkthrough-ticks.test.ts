import { describe, expect, test } from 'vitest'
import { lessonOf, STEPS } from '../../src/extension/walkthrough/steps.ts'
import { tickCorrections } from '../../src/extension/walkthrough/tick-corrections.ts'

/** VS Code's page: ticks by id, and the walkthroughs that it no longer lists. */
class Page {
  readonly ticked: Set<string>
  readonly hidden = new Set<string>()

  constructor(ticked: Iterable<string> = []) {
    this.ticked = new Set(ticked)
  }

  correct(done: ReadonlySet<string>, thorough: boolean): void {
    for (const { step, tick } of tickCorrections(({ id }) => done.has(id), thorough)) this.#mark(step.id, tick)
  }

  #mark(id: string, tick: boolean): void {
    const ids = STEPS.filter(step => lessonOf(step) === id.split('.')[0]).map(step => step.id)
    const others = ids.every(each => each === id || this.ticked.has(each))
    // A step that is ticked already is not ticked again; one that is not may lose its tick again.
    if (tick && this.ticked.has(id)) return
    if (!this.ticked.has(id) && others) this.hidden.add(lessonOf({ id }))
    if (tick) this.ticked.add(id)
    else this.ticked.delete(id)
  }
}

const ALL = STEPS.map(({ id }) => id)

describe.each([
  ['none', 0],
  ['one', 1],
  ['half', 16],
  ['all but one', ALL.length - 1],
  ['all', ALL.length],
])('with %s done', (_name, count) => {
  const done = new Set(ALL.slice(0, count))

  test('ticks that a hand has set or removed become true', () => {
    for (const ticked of [[], ALL, ALL.filter((_, i) => i % 2 === 0)]) {
      const page = new Page(ticked)
      page.correct(done, true)
      expect([...page.ticked].sort()).toEqual([...done].sort())
    }
  })

  test('true ticks stay, and no walkthrough is hidden for it', () => {
    for (const thorough of [true, false]) {
      const page = new Page(done)
      page.correct(done, thorough)
      expect([...page.ticked].sort()).toEqual([...done].sort())
      expect([...page.hidden]).toEqual([])
    }
  })
})
