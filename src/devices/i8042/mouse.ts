/** A PS/2 mouse that nobody moves (PS/2 Hardware Interface Technical Reference, mouse). */

import type { Json } from '../../util/json.ts'
import type { SavedState } from '../saved-state.ts'
import * as ps2 from './ps2-commands.ts'

const SET_SCALING_1_TO_1 = 0xe6
const SET_SCALING_2_TO_1 = 0xe7
const SET_RESOLUTION = 0xe8
const STATUS_REQUEST = 0xe9
const SET_STREAM_MODE = 0xea
const READ_DATA = 0xeb
const RESET_WRAP_MODE = 0xec
const SET_WRAP_MODE = 0xee
const SET_REMOTE_MODE = 0xf0

const STANDARD_MOUSE_ID = 0x00

const STATUS_SCALING = 0x10
const STATUS_ENABLED = 0x20
const STATUS_REMOTE = 0x40
/** First byte of a movement report; bit 3 is always set. */
const NO_MOVEMENT = [0x08, 0, 0]

const DEFAULT_RESOLUTION = 2
const DEFAULT_RATE = 100

export class Mouse {
  #replies: number[] = []
  #parameterOf = 0
  #status = 0
  #wrap = false
  #resolution = DEFAULT_RESOLUTION
  #rate = DEFAULT_RATE
  #last = 0

  reset(): void {
    this.#replies = []
    this.#parameterOf = 0
    this.#wrap = false
    this.#last = 0
    this.#setDefaults()
  }

  /** The next byte for the controller, or undefined. */
  take(): number | undefined {
    const byte = this.#replies.shift()
    if (byte !== undefined && byte !== ps2.PS2_RESEND) this.#last = byte
    return byte
  }

  /** A byte from the controller. */
  command(byte: number): void {
    const parameterOf = this.#parameterOf
    this.#parameterOf = 0
    // In wrap mode the mouse echoes everything but the two commands that end it.
    if (this.#wrap && byte !== RESET_WRAP_MODE && byte !== ps2.PS2_RESET) this.#reply(byte)
    else if (parameterOf !== 0) this.#parameter(parameterOf, byte)
    else if (byte === ps2.PS2_RESEND) this.#reply(this.#last)
    else this.#reply(...this.#execute(byte))
  }

  /** @returns the reply. */
  #execute(command: number): readonly number[] {
    switch (command) {
      case SET_SCALING_1_TO_1:
        this.#status &= ~STATUS_SCALING
        return [ps2.PS2_ACKNOWLEDGE]
      case SET_SCALING_2_TO_1:
        this.#status |= STATUS_SCALING
        return [ps2.PS2_ACKNOWLEDGE]
      case SET_RESOLUTION:
      case ps2.PS2_SET_RATE:
        this.#parameterOf = command
        return [ps2.PS2_ACKNOWLEDGE]
      case STATUS_REQUEST:
        return [ps2.PS2_ACKNOWLEDGE, this.#status, this.#resolution, this.#rate]
      case SET_STREAM_MODE:
        this.#status &= ~STATUS_REMOTE
        return [ps2.PS2_ACKNOWLEDGE]
      case SET_REMOTE_MODE:
        this.#status |= STATUS_REMOTE
        return [ps2.PS2_ACKNOWLEDGE]
      case READ_DATA:
        return [ps2.PS2_ACKNOWLEDGE, ...NO_MOVEMENT]
      case SET_WRAP_MODE:
      case RESET_WRAP_MODE:
        this.#wrap = command === SET_WRAP_MODE
        return [ps2.PS2_ACKNOWLEDGE]
      case ps2.PS2_IDENTIFY:
        return [ps2.PS2_ACKNOWLEDGE, STANDARD_MOUSE_ID]
      case ps2.PS2_ENABLE:
        this.#status |= STATUS_ENABLED
        return [ps2.PS2_ACKNOWLEDGE]
      case ps2.PS2_DISABLE:
        this.#status &= ~STATUS_ENABLED
        return [ps2.PS2_ACKNOWLEDGE]
      case ps2.PS2_DEFAULTS:
        this.#setDefaults()
        return [ps2.PS2_ACKNOWLEDGE]
      case ps2.PS2_RESET:
        this.reset()
        return [ps2.PS2_ACKNOWLEDGE, ps2.PS2_SELF_TEST_PASSED, STANDARD_MOUSE_ID]
      default:
        return [ps2.PS2_RESEND]
    }
  }

  #parameter(command: number, value: number): void {
    if (command === SET_RESOLUTION) this.#resolution = value & 3
    else this.#rate = value
    this.#reply(ps2.PS2_ACKNOWLEDGE)
  }

  #setDefaults(): void {
    this.#status = 0
    this.#resolution = DEFAULT_RESOLUTION
    this.#rate = DEFAULT_RATE
  }

  #reply(...bytes: number[]): void {
    for (const byte of bytes) if (this.#replies.length < ps2.PS2_QUEUE_SIZE) this.#replies.push(byte)
  }

  save(): Json {
    return {
      replies: [...this.#replies],
      parameterOf: this.#parameterOf,
      status: this.#status,
      wrap: this.#wrap,
      resolution: this.#resolution,
      rate: this.#rate,
      last: this.#last,
    }
  }

  restore(saved: SavedState): void {
    this.#replies = saved.numbers('replies')
    this.#parameterOf = saved.number('parameterOf')
    this.#status = saved.number('status')
    this.#wrap = saved.boolean('wrap')
    this.#resolution = saved.number('resolution')
    this.#rate = saved.number('rate')
    this.#last = saved.number('last')
  }
}
