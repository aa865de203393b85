/** The keyboard controller, with keyboard and mouse. */

import type { Json } from '../../util/json.ts'
import { type AccessSize, readByBytes, writeByBytes } from '../bus/byte-ports.ts'
import type { Device, DeviceBus, InterruptLine, PortHandler, RegisterView } from '../device.ts'
import { encodeBytes, SavedState } from '../saved-state.ts'
import { type KeyStroke, scancodes } from './key-codes.ts'
import { Keyboard } from './keyboard.ts'
import { Mouse } from './mouse.ts'
import * as r from './registers.ts'
import { RELEASE_PREFIX, RELEASED, translateToSet1 } from './scancode-translation.ts'

const RAM_SIZE = 32

/** As firmware leaves it: interrupts on, translation to scan code set 1, self test passed. */
const CONFIG_DEFAULT = r.CONFIG_KEYBOARD_INTERRUPT | r.CONFIG_MOUSE_INTERRUPT | r.CONFIG_SYSTEM | r.CONFIG_TRANSLATE

const OUTPUT_DEFAULT = r.OUTPUT_NO_RESET | r.OUTPUT_A20 | r.OUTPUT_IDLE

/** Where the byte in the output buffer came from. */
const FROM_KEYBOARD = 0
const FROM_MOUSE = 1

export interface I8042Options {
  /** IRQ 1. */
  readonly keyboardInterrupt: InterruptLine
  /** IRQ 12. */
  readonly mouseInterrupt: InterruptLine
  /** The guest has pulsed the processor's reset line. */
  readonly onReset: () => void
  /** The gate of address line 20 was switched. */
  readonly onA20?: (enabled: boolean) => void
}

/** Keyboard and mouse answer at once, so that the input buffer is never seen full. */
export class I8042 implements Device, PortHandler {
  readonly name = 'i8042'
  readonly #keyboardInterrupt: InterruptLine
  readonly #mouseInterrupt: InterruptLine
  readonly #onReset: () => void
  readonly #onA20: (enabled: boolean) => void
  readonly #keyboard = new Keyboard()
  readonly #mouse = new Mouse()
  /** RAM of the controller; byte 0 is its configuration. */
  readonly #ram = new Uint8Array(RAM_SIZE)
  #outputPort = OUTPUT_DEFAULT
  #lastWriteWasCommand = true
  /** Command that takes the next byte at the data port; 0 when that byte is for the keyboard. */
  #parameterOf = 0
  /** The output buffer: a byte or nothing, and its source. */
  #output: number | undefined
  #data = 0
  #source = FROM_KEYBOARD
  /** The translation has seen the release prefix. */
  #released = false

  constructor(options: I8042Options) {
    this.#keyboardInterrupt = options.keyboardInterrupt
    this.#mouseInterrupt = options.mouseInterrupt
    this.#onReset = options.onReset
    this.#onA20 = options.onA20 ?? (() => undefined)
    this.#ram[0] = CONFIG_DEFAULT
  }

  attach(bus: DeviceBus): void {
    bus.addPorts(r.I8042_DATA_PORT, 1, this)
    bus.addPorts(r.I8042_COMMAND_PORT, 1, this)
  }

  /**
   * Keys typed by the host, as scan codes of set 2, which is what a keyboard sends after a reset.
   * @returns how many of the bytes were taken; the rest can be offered again later.
   */
  typeScancodes(bytes: Uint8Array): number {
    const taken = this.#keyboard.type(bytes)
    this.#refill()
    return taken
  }

  /**
   * A key of the host goes down or up. Throws RangeError for one that the keyboard hasn't.
   * @returns false when there is no room for it, and nothing was taken; true also when the guest won't hear it.
   */
  typeKey(stroke: KeyStroke): boolean {
    const bytes = scancodes(stroke, this.#keyboard.scancodeSet === 1 ? 1 : 2)
    if (this.#keyboard.scancodeSet === 3) return true
    if (bytes.length > this.#keyboard.room) return false
    this.typeScancodes(Uint8Array.from(bytes))
    return true
  }

  /** Why keys don't reach the guest now; undefined when they do. */
  get deafness(): string | undefined {
    if (!this.#keyboard.enabled) return 'the guest has switched the keyboard off: keys are lost'
    if (this.#keyboard.scancodeSet === 3) return 'the guest wants scan code set 3, which this keyboard does not send'
    if (this.#ram[0] & r.CONFIG_KEYBOARD_DISABLED)
      return 'the guest has disabled the keyboard interface: keys wait until it enables it'
    return undefined
  }

  reset(): void {
    this.#keyboard.reset()
    this.#mouse.reset()
    this.#ram.fill(0)
    this.#ram[0] = CONFIG_DEFAULT
    this.#outputPort = OUTPUT_DEFAULT
    this.#lastWriteWasCommand = true
    this.#parameterOf = 0
    this.#output = undefined
    this.#data = 0
    this.#source = FROM_KEYBOARD
    this.#released = false
    this.#onA20(true)
    this.#keyboardInterrupt.set(false)
    this.#mouseInterrupt.set(false)
  }

  readPort(port: number, size: AccessSize): number {
    return readByBytes(port, size, at => (at === r.I8042_DATA_PORT ? this.#readData() : this.#status))
  }

  writePort(port: number, size: AccessSize, value: number): void {
    writeByBytes(port, size, value, (at, byte) => {
      if (at === r.I8042_DATA_PORT) this.#writeData(byte)
      else this.#writeCommand(byte)
      this.#refill()
    })
  }

  #readData(): number {
    const value = this.#data
    this.#output = undefined
    // The interrupt falls between two bytes, so that each makes an edge.
    this.#updateInterrupts()
    this.#refill()
    return value
  }

  #writeCommand(command: number): void {
    this.#lastWriteWasCommand = true
    this.#parameterOf = 0
    if (command >= r.COMMAND_PULSE) {
      if (!(command & r.OUTPUT_NO_RESET)) this.#onReset()
    } else if (command >= r.COMMAND_READ_RAM && command < r.COMMAND_READ_RAM + RAM_SIZE)
      this.#respond(this.#ram[command - r.COMMAND_READ_RAM])
    else if (command >= r.COMMAND_WRITE_RAM && command < r.COMMAND_WRITE_RAM + RAM_SIZE) this.#parameterOf = command
    else this.#execute(command)
  }

  #execute(command: number): void {
    switch (command) {
      case r.COMMAND_DISABLE_MOUSE:
        this.#ram[0] |= r.CONFIG_MOUSE_DISABLED
        break
      case r.COMMAND_ENABLE_MOUSE:
        this.#ram[0] &= ~r.CONFIG_MOUSE_DISABLED
        break
      case r.COMMAND_TEST_MOUSE_PORT:
      case r.COMMAND_TEST_KEYBOARD_PORT:
        this.#respond(r.PORT_TEST_PASSED)
        break
      case r.COMMAND_SELF_TEST:
        this.#ram[0] |= r.CONFIG_SYSTEM
        this.#respond(r.SELF_TEST_PASSED)
        break
      case r.COMMAND_DISABLE_KEYBOARD:
        this.#ram[0] |= r.CONFIG_KEYBOARD_DISABLED
        break
      case r.COMMAND_ENABLE_KEYBOARD:
        this.#ram[0] &= ~r.CONFIG_KEYBOARD_DISABLED
        break
      case r.COMMAND_READ_INPUT_PORT:
        this.#respond(r.INPUT_PORT)
        break
      case r.COMMAND_READ_OUTPUT_PORT:
        this.#respond(this.#outputPortPins)
        break
      case r.COMMAND_WRITE_OUTPUT_PORT:
      case r.COMMAND_WRITE_KEYBOARD_BUFFER:
      case r.COMMAND_WRITE_MOUSE_BUFFER:
      case r.COMMAND_WRITE_MOUSE:
        this.#parameterOf = command
        break
      case r.COMMAND_DISABLE_A20:
        this.#setA20(false)
        break
      case r.COMMAND_ENABLE_A20:
        this.#setA20(true)
        break
      case r.COMMAND_READ_TEST_INPUTS:
        this.#respond(0)
        break
      // Anything else is no command and is ignored.
    }
    this.#updateInterrupts()
  }

  #writeData(value: number): void {
    const command = this.#parameterOf
    this.#lastWriteWasCommand = false
    this.#parameterOf = 0
    switch (command) {
      case 0:
        // A byte for the keyboard enables its interface again.
        this.#ram[0] &= ~r.CONFIG_KEYBOARD_DISABLED
        this.#keyboard.command(value)
        break
      case r.COMMAND_WRITE_OUTPUT_PORT:
        this.#setA20((value & r.OUTPUT_A20) !== 0)
        if (!(value & r.OUTPUT_NO_RESET)) this.#onReset()
        break
      case r.COMMAND_WRITE_KEYBOARD_BUFFER:
        this.#respond(value)
        break
      case r.COMMAND_WRITE_MOUSE_BUFFER:
        this.#respond(value, FROM_MOUSE)
        break
      case r.COMMAND_WRITE_MOUSE:
        this.#ram[0] &= ~r.CONFIG_MOUSE_DISABLED
        this.#mouse.command(value)
        break
      default:
        this.#ram[command - r.COMMAND_WRITE_RAM] = value
    }
    this.#updateInterrupts()
  }

  #setA20(enabled: boolean): void {
    this.#outputPort = enabled ? this.#outputPort | r.OUTPUT_A20 : this.#outputPort & ~r.OUTPUT_A20
    this.#onA20(enabled)
  }

  /** The controller's own answer replaces what is in the output buffer. */
  #respond(value: number, source = FROM_KEYBOARD): void {
    this.#output = undefined
    this.#updateInterrupts()
    this.#fillOutput(value, source)
  }

  #fillOutput(value: number, source: number): void {
    this.#output = value
    this.#data = value
    this.#source = source
    this.#updateInterrupts()
  }

  /** Moves the next byte of keyboard or mouse into the empty output buffer. */
  #refill(): void {
    const config = this.#ram[0]
    while (this.#output === undefined && !(config & r.CONFIG_KEYBOARD_DISABLED)) {
      const byte = this.#keyboard.take()
      if (byte === undefined) break
      const translated = config & r.CONFIG_TRANSLATE ? this.#translate(byte) : byte
      if (translated !== undefined) this.#fillOutput(translated, FROM_KEYBOARD)
    }
    if (this.#output !== undefined || config & r.CONFIG_MOUSE_DISABLED) return
    const byte = this.#mouse.take()
    if (byte !== undefined) this.#fillOutput(byte, FROM_MOUSE)
  }

  /** @returns undefined for the release prefix, which goes into the next code. */
  #translate(code: number): number | undefined {
    if (code === RELEASE_PREFIX) {
      this.#released = true
      return undefined
    }
    const released = this.#released ? RELEASED : 0
    this.#released = false
    return translateToSet1(code) | released
  }

  #updateInterrupts(): void {
    const full = this.#output !== undefined
    const fromMouse = this.#source === FROM_MOUSE
    this.#keyboardInterrupt.set(full && !fromMouse && (this.#ram[0] & r.CONFIG_KEYBOARD_INTERRUPT) !== 0)
    this.#mouseInterrupt.set(full && fromMouse && (this.#ram[0] & r.CONFIG_MOUSE_INTERRUPT) !== 0)
  }

  get #status(): number {
    const full = this.#output !== undefined
    return (
      (full ? r.STATUS_OUTPUT_FULL : 0) |
      (full && this.#source === FROM_MOUSE ? r.STATUS_MOUSE_DATA : 0) |
      (this.#ram[0] & r.CONFIG_SYSTEM ? r.STATUS_SYSTEM : 0) |
      (this.#lastWriteWasCommand ? r.STATUS_COMMAND : 0) |
      r.STATUS_UNLOCKED
    )
  }

  get #outputPortPins(): number {
    const full =
      this.#output === undefined ? 0 : this.#source === FROM_MOUSE ? r.OUTPUT_MOUSE_FULL : r.OUTPUT_KEYBOARD_FULL
    return this.#outputPort | full
  }

  save(): Json {
    return {
      keyboard: this.#keyboard.save(),
      mouse: this.#mouse.save(),
      ram: encodeBytes(this.#ram),
      outputPort: this.#outputPort,
      lastWriteWasCommand: this.#lastWriteWasCommand,
      parameterOf: this.#parameterOf,
      outputFull: this.#output !== undefined,
      data: this.#data,
      source: this.#source,
      released: this.#released,
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#keyboard.restore(saved.part('keyboard'))
    this.#mouse.restore(saved.part('mouse'))
    this.#ram.set(saved.bytes('ram', RAM_SIZE))
    this.#outputPort = saved.number('outputPort')
    this.#lastWriteWasCommand = saved.boolean('lastWriteWasCommand')
    this.#parameterOf = saved.number('parameterOf')
    this.#data = saved.number('data')
    this.#output = saved.boolean('outputFull') ? this.#data : undefined
    this.#source = saved.number('source')
    this.#released = saved.boolean('released')
  }

  registers(): readonly RegisterView[] {
    return [
      { name: 'status', value: this.#status, width: 8 },
      {
        name: 'output buffer',
        value: this.#data,
        width: 8,
        meaning:
          this.#output === undefined ? 'empty' : this.#source === FROM_MOUSE ? 'from the mouse' : 'from the keyboard',
      },
      { name: 'configuration', value: this.#ram[0], width: 8 },
      { name: 'output port', value: this.#outputPortPins, width: 8 },
      { name: 'LEDs', value: this.#keyboard.leds, width: 3 },
      { name: 'scan code set', value: this.#keyboard.scancodeSet, width: 2 },
    ]
  }
}
