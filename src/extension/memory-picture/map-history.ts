/** Maps of a session that were seen: the one before, those that the user wants to remember, and whose they were. */

import type { MappingsBody } from '../../protocol/custom-requests.ts'
import { grouped } from '../views/view-node.ts'
import type { Choice } from './messages.ts'

export interface SeenMap {
  readonly cr3: string
  /** Instructions that the guest had retired. */
  readonly instructions: number
  readonly map: MappingsBody
}

/** Each can have thousands of ranges. */
const MOST_REMEMBERED = 8
const MOST_SPACES = 32

const BEFORE = 'before'
const REMEMBERED = 'remembered:'
const SPACE = 'space:'

export class MapHistory {
  #session: string | undefined
  #shown: SeenMap | undefined
  #before: SeenMap | undefined
  #remembered: readonly SeenMap[] = []
  /** Values of CR3 that were current or asked for, the last one first. */
  #spaces: readonly string[] = []

  /** Of another session nothing is kept. */
  begin(session: string): void {
    if (session === this.#session) return
    this.#session = session
    this.#shown = undefined
    this.#before = undefined
    this.#remembered = []
    this.#spaces = []
  }

  /** A map is shown. What was shown at an earlier stop becomes the one before; more of the same one replaces it. */
  show(map: SeenMap): void {
    if (this.#shown !== undefined && this.#shown.instructions !== map.instructions) this.#before = this.#shown
    this.#shown = map
  }

  seen(...spaces: readonly string[]): void {
    this.#spaces = [...new Set([...spaces, ...this.#spaces])].slice(0, MOST_SPACES)
  }

  /** @returns the value of its choice; undefined when nothing is shown. */
  remember(): string | undefined {
    const map = this.#shown
    if (map === undefined) return undefined
    const others = this.#remembered.filter(
      ({ cr3, instructions }) => cr3 !== map.cr3 || instructions !== map.instructions,
    )
    this.#remembered = [map, ...others].slice(0, MOST_REMEMBERED)
    return rememberedValue(map)
  }

  get spaces(): readonly string[] {
    return this.#spaces
  }

  /** What a map can be compared with. @param cr3 of the one that is shown */
  bases(cr3: string): Choice[] {
    return [
      { value: '', label: 'nothing' },
      {
        value: BEFORE,
        label: `the stop before: ${this.#before === undefined ? 'none seen yet' : mapText(this.#before)}`,
      },
      ...this.#remembered.map(map => ({ value: rememberedValue(map), label: `remembered: ${mapText(map)}` })),
      ...this.#spaces
        .filter(space => space !== cr3)
        .map(space => ({ value: `${SPACE}${space}`, label: `address space ${space}` })),
    ]
  }

  /** The map that a choice stands for; the CR3 of an address space that has to be asked for; undefined for no choice. */
  base(value: string): SeenMap | { readonly space: string } | undefined {
    if (value === BEFORE) return this.#before
    if (value.startsWith(SPACE)) return { space: value.slice(SPACE.length) }
    return this.#remembered.find(map => rememberedValue(map) === value)
  }
}

export const mapText = ({ cr3, instructions }: Pick<SeenMap, 'cr3' | 'instructions'>): string =>
  `CR3 ${cr3} at ${grouped(instructions)} instructions`

const rememberedValue = ({ cr3, instructions }: SeenMap): string => `${REMEMBERED}${cr3}@${instructions}`
