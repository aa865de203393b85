/** A PS/2 keyboard (PS/2 Hardware Interface Technical Reference, keyboard). */

import type { Json } from '../../util/json.ts'
import { encodeBytes, type SavedState } from '../saved-state.ts'
import * as ps2 from './ps2-commands.ts'

const SET_LEDS = 0xed
const ECHO = 0xee
const SCANCODE_SET = 0xf0
/** 0xf7 to 0xfd make keys typematic or not, in scan code set 3; the last three name a key. */
const SET_3_ALL_KEYS = 0xf7
const SET_3_ONE_KEY = 0xfb
const SET_3_LAST = 0xfd

const IDENTITY = [0xab, 0x83]

/** Key presses that wait for a guest to look. */
const TYPED_LIMIT = 4096

export class Keyboard {
  /** Replies to commands; they go before what is typed. */
  #replies: number[] = []
  #typed: number[] = []
  #parameterOf = 0
  #enabled = true
  #leds = 0
  #scancodeSet = 2
  #last = 0

  reset(): void {
    this.#replies = []
    this.#typed = []
    this.#parameterOf = 0
    this.#last = 0
    this.#setDefaults()
    this.#enabled = true
  }

  get leds(): number {
    return this.#leds
  }

  get scancodeSet(): number {
    return this.#scancodeSet
  }

  /**
   * Scancodes as the keyboard sends them.
   * @returns how many were taken; those typed while it is disabled are dropped.
   */
  type(bytes: Uint8Array): number {
    if (!this.#enabled) return bytes.length
    const taken = Math.min(bytes.length, TYPED_LIMIT - this.#typed.length)
    for (let i = 0; i < taken; i++) this.#typed.push(bytes[i])
    return taken
  }

  /** Does it send keys, or has the guest told it not to? */
  get enabled(): boolean {
    return this.#enabled
  }

  /** Bytes that there is room for. */
  get room(): number {
    return TYPED_LIMIT - this.#typed.length
  }

  /** The next byte for the controller, or undefined. */
  take(): number | undefined {
    const byte = this.#replies.shift() ?? this.#typed.shift()
    if (byte !== undefined && byte !== ps2.PS2_RESEND) this.#last = byte
    return byte
  }

  /** A byte from the controller. */
  command(byte: number): void {
    const parameterOf = this.#parameterOf
    this.#parameterOf = 0
    if (parameterOf !== 0) this.#parameter(parameterOf, byte)
    else if (byte === ECHO) this.#reply(ECHO)
    else if (byte === ps2.PS2_RESEND) this.#reply(this.#last)
    else if (byte >= SET_LEDS) {
      this.#reply(ps2.PS2_ACKNOWLEDGE)
      this.#execute(byte)
    } else this.#reply(ps2.PS2_RESEND)
  }

  #execute(command: number): void {
    switch (command) {
      case SET_LEDS:
      case SCANCODE_SET:
      case ps2.PS2_SET_RATE:
        this.#parameterOf = command
        break
      case ps2.PS2_IDENTIFY:
        this.#reply(...IDENTITY)
        break
      case ps2.PS2_ENABLE:
        this.#typed = []
        this.#enabled = true
        break
      case ps2.PS2_DISABLE:
        this.#setDefaults()
        this.#enabled = false
        break
      case ps2.PS2_DEFAULTS:
        this.#setDefaults()
        break
      case ps2.PS2_RESET:
        this.reset()
        this.#reply(ps2.PS2_ACKNOWLEDGE, ps2.PS2_SELF_TEST_PASSED)
        break
      default:
        if (command >= SET_3_ONE_KEY && command <= SET_3_LAST) this.#parameterOf = SET_3_ALL_KEYS
    }
  }

  #parameter(command: number, value: number): void {
    this.#reply(ps2.PS2_ACKNOWLEDGE)
    if (command === SET_LEDS) this.#leds = value & 7
    else if (command === SCANCODE_SET && value === 0) this.#reply(this.#scancodeSet)
    else if (command === SCANCODE_SET && value <= 3) this.#scancodeSet = value
  }

  #setDefaults(): void {
    this.#leds = 0
    this.#scancodeSet = 2
    this.#typed = []
  }

  #reply(...bytes: number[]): void {
    for (const byte of bytes) if (this.#replies.length < ps2.PS2_QUEUE_SIZE) this.#replies.push(byte)
  }

  save(): Json {
    return {
      replies: [...this.#replies],
      typed: encodeBytes(Uint8Array.from(this.#typed)),
      parameterOf: this.#parameterOf,
      enabled: this.#enabled,
      leds: this.#leds,
      scancodeSet: this.#scancodeSet,
      last: this.#last,
    }
  }

  restore(saved: SavedState): void {
    this.#replies = saved.numbers('replies')
    this.#typed = [...saved.bytes('typed')]
    this.#parameterOf = saved.number('parameterOf')
    this.#enabled = saved.boolean('enabled')
    this.#leds = saved.number('leds')
    this.#scancodeSet = saved.number('scancodeSet')
    this.#last = saved.number('last')
  }
}
