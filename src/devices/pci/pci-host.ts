/** PCI bus 0: configuration mechanism 1, the chipset's own functions, and interrupt routing. */

import type { Json } from '../../util/json.ts'
import { type AccessSize, readByBytes, writeByBytes } from '../bus/byte-ports.ts'
import type { MovableBus } from '../bus/system-bus.ts'
import type { Device, InterruptLine, PortHandler, RegisterView } from '../device.ts'
import { RESET_CONTROL_PORT } from '../fast-reset/reset-control.ts'
import { SavedState } from '../saved-state.ts'
import { HostBridge, IsaBridge, isRoutable, PIRQS, PowerManagement } from './chipset-functions.ts'
import type { PciFunction } from './pci-function.ts'
import * as r from './registers.ts'

const SLOTS = 32
const FUNCTIONS = 8
const BRIDGE_SLOT = 1
const POWER_MANAGEMENT_FUNCTION = 3
const ISA_REQUESTS = 16
/** Each has a bit of a number. */
const MAX_FUNCTIONS = 31

/** As SeaBIOS and QEMU leave the routes of PIRQ A to D. */
export const DEFAULT_PIRQ_ROUTES: readonly number[] = [10, 10, 11, 11]

export interface PciHostOptions {
  readonly bus: MovableBus
  /** A source for one ISA request, level-triggered; asked for once for each that a PIRQ can be routed to. */
  readonly interrupt: (irq: number) => InterruptLine
  /** What PIRQ A to D drive besides the ISA request, as inputs of the I/O APIC; nothing by default. */
  readonly pirqLines?: readonly InterruptLine[]
  /** Port 0xCF9, which lies inside the configuration ports. */
  readonly resetControl: PortHandler
  /** ISA requests of PIRQ A to D; {@link DEFAULT_PIRQ_ROUTES} by default. */
  readonly pirqRoutes?: readonly number[]
}

interface Plugged {
  readonly slot: number
  readonly number: number
  readonly device: PciFunction
}

/** PIRQ that a slot's pin is wired to on QEMU's `pc`; the ACPI `_PRT` must say the same. @param pin 1 to 4. */
export function pirqOf(slot: number, pin: number): number {
  return (slot - 1 + pin - 1) & (PIRQS - 1)
}

export class PciHost implements Device, PortHandler {
  readonly name = 'pci-host'
  readonly #bus: MovableBus
  readonly #resetControl: PortHandler
  /** By ISA request; undefined where no PIRQ can be routed to. */
  readonly #requests: readonly (InterruptLine | undefined)[]
  readonly #pirqLines: readonly InterruptLine[]
  readonly #isaBridge: IsaBridge
  readonly #functions: Plugged[] = []
  /** For each PIRQ, a bit for each function that asserts it, in order of plugging. */
  readonly #pirqs: number[] = new Array(PIRQS).fill(0)
  /** ISA requests asserted, a bit each. */
  #asserted = 0
  #address = 0

  constructor(options: PciHostOptions) {
    this.#bus = options.bus
    this.#resetControl = options.resetControl
    this.#requests = Array.from({ length: ISA_REQUESTS }, (_, irq) =>
      isRoutable(irq) ? options.interrupt(irq) : undefined,
    )
    this.#pirqLines = options.pirqLines ?? []
    this.#isaBridge = new IsaBridge(options.pirqRoutes ?? DEFAULT_PIRQ_ROUTES)
    this.#isaBridge.onRoute = () => this.#route()
    this.plug(0, 0, new HostBridge())
    this.plug(BRIDGE_SLOT, 0, this.#isaBridge)
    this.plug(BRIDGE_SLOT, POWER_MANAGEMENT_FUNCTION, new PowerManagement())
  }

  attach(): void {
    this.#bus.addPorts(r.PCI_CONFIG_ADDRESS, 8, this)
  }

  /**
   * Puts a function into a slot of bus 0. Always in the same order for the same machine: saved state counts on it.
   * @throws Error when the place is taken or does not exist.
   */
  plug(slot: number, number: number, device: PciFunction): void {
    if (slot < 0 || slot >= SLOTS || number < 0 || number >= FUNCTIONS)
      throw new Error(`${device.name}: PCI bus 0 has no slot ${slot}.${number}`)
    if (this.#find(slot, number) !== undefined)
      throw new Error(`${device.name}: PCI slot 00:${slot}.${number} is taken`)
    if (this.#functions.length === MAX_FUNCTIONS)
      throw new Error(`${device.name}: more than ${MAX_FUNCTIONS} PCI functions`)
    const bit = 1 << this.#functions.length
    this.#functions.push({ slot, number, device })
    const pirq = pirqOf(slot, device.interruptPin)
    const interrupt: InterruptLine = {
      set: asserted => {
        this.#pirqs[pirq] = asserted ? this.#pirqs[pirq] | bit : this.#pirqs[pirq] & ~bit
        this.#pirqLines[pirq]?.set(this.#pirqs[pirq] !== 0)
        this.#route()
      },
    }
    device.plug({ bus: this.#bus, interrupt, remap: () => this.#remap() }, this.#isaBridge.route(pirq) ?? 0)
  }

  /** Functions by place, for inspection. */
  get functions(): readonly Plugged[] {
    return this.#functions
  }

  reset(): void {
    this.#address = 0
    this.#pirqs.fill(0)
    for (const { device } of this.#functions) device.reset()
    this.#route()
  }

  readPort(port: number, size: AccessSize): number {
    if (port === r.PCI_CONFIG_ADDRESS && size === 4) return this.#address
    if (port >= r.PCI_CONFIG_DATA) return this.#readData(port - r.PCI_CONFIG_DATA, size)
    return readByBytes(port, size, at => {
      if (at >= r.PCI_CONFIG_DATA) return this.#readData(at - r.PCI_CONFIG_DATA, 1)
      return at === RESET_CONTROL_PORT ? this.#resetControl.readPort(at, 1) & 0xff : 0xff
    })
  }

  writePort(port: number, size: AccessSize, value: number): void {
    if (port === r.PCI_CONFIG_ADDRESS && size === 4) this.#address = (value & r.PCI_CONFIG_ADDRESS_MASK) >>> 0
    else if (port >= r.PCI_CONFIG_DATA) this.#writeData(port - r.PCI_CONFIG_DATA, size, value)
    // PCI 3.0, 3.2.2.3.2: only a whole doubleword at 0xCF8 is a configuration address.
    else
      writeByBytes(port, size, value, (at, byte) => {
        if (at >= r.PCI_CONFIG_DATA) this.#writeData(at - r.PCI_CONFIG_DATA, 1, byte)
        else if (at === RESET_CONTROL_PORT) this.#resetControl.writePort(at, 1, byte)
      })
  }

  #readData(offset: number, size: AccessSize): number {
    // A function that isn't there, like any bus but 0, leaves the data lines high.
    const target = this.#selected
    return target === undefined ? 0xffffffff : target.guestReadConfig((this.#address & 0xfc) + offset, size)
  }

  #writeData(offset: number, size: AccessSize, value: number): void {
    this.#selected?.writeConfig((this.#address & 0xfc) + offset, size, value)
  }

  get #selected(): PciFunction | undefined {
    const address = this.#address
    const bus = (address >>> 16) & 0xff
    if (!(address & r.PCI_CONFIG_ENABLE) || bus !== 0) return undefined
    return this.#find((address >>> 11) & 0x1f, (address >>> 8) & 7)
  }

  #find(slot: number, number: number): PciFunction | undefined {
    return this.#functions.find(plugged => plugged.slot === slot && plugged.number === number)?.device
  }

  #remap(): void {
    for (const { device } of this.#functions) device.unmapBars()
    for (const { device } of this.#functions) device.mapBars()
  }

  /** Drives the ISA requests from the PIRQs and where they are routed. */
  #route(): void {
    let asserted = 0
    for (let pirq = 0; pirq < PIRQS; pirq++) {
      const irq = this.#pirqs[pirq] === 0 ? undefined : this.#isaBridge.route(pirq)
      if (irq !== undefined) asserted |= 1 << irq
    }
    const changed = asserted ^ this.#asserted
    this.#asserted = asserted
    for (let irq = 0; irq < ISA_REQUESTS; irq++)
      if (changed & (1 << irq)) this.#requests[irq]?.set((asserted & (1 << irq)) !== 0)
  }

  save(): Json {
    return {
      address: this.#address,
      pirqs: [...this.#pirqs],
      asserted: this.#asserted,
      functions: this.#functions.map(({ device }) => device.save()),
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#address = saved.number('address')
    for (const [pirq, sources] of saved.numbers('pirqs', PIRQS).entries()) this.#pirqs[pirq] = sources
    this.#asserted = saved.number('asserted')
    const functions = saved.values('functions', this.#functions.length)
    for (const [index, function_] of functions.entries()) this.#functions[index].device.restore(function_)
  }

  registers(): readonly RegisterView[] {
    const routes = Array.from({ length: PIRQS }, (_, pirq): RegisterView => {
      const irq = this.#isaBridge.route(pirq)
      return {
        name: `PIRQ${'ABCD'[pirq]}`,
        value: this.#pirqs[pirq] === 0 ? 0 : 1,
        width: 1,
        meaning: irq === undefined ? 'not routed' : `IRQ ${irq}`,
      }
    })
    return [{ name: 'CONFADD', value: this.#address, width: 32 }, ...routes]
  }
}
