/** The serial port: a 16550A with 16-byte FIFOs. */

import type { Json } from '../../util/json.ts'
import type { Timer, VirtualClock } from '../../util/virtual-clock.ts'
import { type AccessSize, readByBytes, writeByBytes } from '../bus/byte-ports.ts'
import type { Device, DeviceBus, InterruptLine, PortHandler, RegisterView } from '../device.ts'
import { encodeBytes, SavedState } from '../saved-state.ts'
import * as r from './registers.ts'

/** Bytes of input kept for a guest that does not read them yet. */
const HOST_QUEUE_LIMIT = 65536
/** A character in the timeout rule: start bit, 8 data bits, stop bit; the timeout is 4 of them. */
const TIMEOUT_BITS = 40
/** The divisor is undefined after a reset; this is 9600 baud, which firmware would leave. */
const DEFAULT_DIVISOR = 12

export interface UartOptions {
  /** Unique in the machine, for example `uart0`. */
  readonly name: string
  /** Base port; 8 ports are claimed. */
  readonly port: number
  readonly clock: VirtualClock
  readonly interrupt: InterruptLine
  /** Takes each byte the guest sends. */
  readonly sink: (byte: number) => void
}

/**
 * Bytes are sent in no time: the transmitter is always empty, and the interrupt that says so comes again after each
 * byte and each time it is enabled. What arrives waits in a queue of the host and enters the receiver FIFO as the
 * guest drains it, so that it never overruns. OUT2 does not gate the interrupt.
 */
export class Uart implements Device, PortHandler {
  readonly name: string
  readonly #base: number
  readonly #clock: VirtualClock
  readonly #interrupt: InterruptLine
  readonly #sink: (byte: number) => void
  readonly #timeout: Timer

  #ier = 0
  #fcr = 0
  #lcr = 0
  #mcr = 0
  #lsrErrors = 0
  #msrDeltas = 0
  #scratch = 0
  #divisor = DEFAULT_DIVISOR
  #thrEmptyPending = false
  #timeoutPending = false
  /** The guest has driven RTS at least once, so the other end obeys it from then on. */
  #flowControl = false
  #fifo: number[] = []
  #host: number[] = []

  constructor(options: UartOptions) {
    this.name = options.name
    this.#base = options.port
    this.#clock = options.clock
    this.#interrupt = options.interrupt
    this.#sink = options.sink
    this.#timeout = options.clock.timer(`${options.name}-rx-timeout`, () => {
      this.#timeoutPending = true
      this.#update()
    })
  }

  attach(bus: DeviceBus): void {
    bus.addPorts(this.#base, 8, this)
  }

  /**
   * Input from the host.
   * @returns how many of the bytes were taken; the rest did not fit into the queue and can be offered again later.
   */
  receive(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, HOST_QUEUE_LIMIT - this.#host.length)
    for (let i = 0; i < taken; i++) this.#host.push(bytes[i])
    this.#fill()
    return taken
  }

  reset(): void {
    this.#ier = 0
    this.#fcr = 0
    this.#lcr = 0
    this.#mcr = 0
    this.#lsrErrors = 0
    this.#msrDeltas = 0
    this.#scratch = 0
    this.#divisor = DEFAULT_DIVISOR
    this.#thrEmptyPending = false
    this.#timeoutPending = false
    this.#flowControl = false
    this.#fifo = []
    this.#host = []
    this.#timeout.cancel()
    this.#interrupt.set(false)
  }

  readPort(port: number, size: AccessSize): number {
    return readByBytes(port, size, at => this.#read(at - this.#base))
  }

  writePort(port: number, size: AccessSize, value: number): void {
    writeByBytes(port, size, value, (at, byte) => this.#write(at - this.#base, byte))
  }

  #read(offset: number): number {
    const dlab = (this.#lcr & r.LCR_DLAB) !== 0
    switch (offset) {
      case r.UART_DATA:
        return dlab ? this.#divisor & 0xff : this.#takeByte()
      case r.UART_IER:
        return dlab ? this.#divisor >>> 8 : this.#ier
      case r.UART_IIR_FCR: {
        const iir = this.#iir
        // Reading the identification clears the transmitter's interrupt when it is the one reported (8.5, table IV).
        if ((iir & 0x0f) === r.IIR_THR_EMPTY) {
          this.#thrEmptyPending = false
          this.#update()
        }
        return iir
      }
      case r.UART_LCR:
        return this.#lcr
      case r.UART_MCR:
        return this.#mcr
      case r.UART_LSR: {
        const lsr = this.#lsr
        this.#lsrErrors = 0
        this.#update()
        return lsr
      }
      case r.UART_MSR: {
        const msr = this.#msr
        this.#msrDeltas = 0
        this.#update()
        return msr
      }
      default:
        return this.#scratch
    }
  }

  #write(offset: number, value: number): void {
    const dlab = (this.#lcr & r.LCR_DLAB) !== 0
    switch (offset) {
      case r.UART_DATA:
        if (dlab) this.#divisor = (this.#divisor & 0xff00) | value
        else this.#transmit(value)
        break
      case r.UART_IER:
        if (dlab) this.#divisor = (this.#divisor & 0x00ff) | (value << 8)
        else this.#writeIer(value)
        break
      case r.UART_IIR_FCR:
        this.#writeFcr(value)
        break
      case r.UART_LCR:
        this.#lcr = value
        break
      case r.UART_MCR:
        this.#writeMcr(value & 0x1f)
        break
      case r.UART_SCR:
        this.#scratch = value
        break
      // LSR and MSR are for reading; writes to them are for the factory's tests.
    }
  }

  #takeByte(): number {
    const byte = this.#fifo.shift() ?? 0
    this.#timeoutPending = false
    this.#fill()
    this.#restartTimeout()
    this.#update()
    return byte
  }

  #transmit(byte: number): void {
    // Writing takes the interrupt away; it comes back as soon as the byte is gone, as a new edge.
    this.#thrEmptyPending = false
    this.#update()
    if (this.#mcr & r.MCR_LOOP) this.#arrive(byte)
    else this.#sink(byte)
    this.#thrEmptyPending = true
    this.#update()
  }

  #writeIer(value: number): void {
    const enabled = value & ~this.#ier
    this.#ier = value & 0x0f
    // Linux's 8250 driver tests for this: enabling the interrupt while the register is empty raises it, every time.
    if (enabled & r.IER_THR_EMPTY) this.#thrEmptyPending = true
    this.#update()
  }

  #writeFcr(value: number): void {
    const switched = ((value ^ this.#fcr) & r.FCR_ENABLE) !== 0
    if (switched || (value & r.FCR_ENABLE && value & r.FCR_CLEAR_RX)) {
      this.#fifo = []
      this.#timeoutPending = false
    }
    // 8.4: the other bits are programmed only together with the enable bit.
    this.#fcr = value & r.FCR_ENABLE ? value & r.FCR_STORED : 0
    this.#fill()
    this.#restartTimeout()
    this.#update()
  }

  #writeMcr(value: number): void {
    const before = this.#modemInputs
    this.#mcr = value
    if (value & r.MCR_RTS) this.#flowControl = true
    const after = this.#modemInputs
    const changed = before ^ after
    if (changed & r.MSR_CTS) this.#msrDeltas |= r.MSR_DELTA_CTS
    if (changed & r.MSR_DSR) this.#msrDeltas |= r.MSR_DELTA_DSR
    if (changed & r.MSR_DCD) this.#msrDeltas |= r.MSR_DELTA_DCD
    if (before & ~after & r.MSR_RI) this.#msrDeltas |= r.MSR_TRAILING_RI
    this.#fill()
    this.#update()
  }

  /** A byte at the receiver. */
  #arrive(byte: number): void {
    if (this.#fifo.length >= this.#capacity) {
      this.#lsrErrors |= r.LSR_OVERRUN
      // 8.3: without FIFOs the new character replaces the old one; with them it is lost.
      if (!(this.#fcr & r.FCR_ENABLE)) this.#fifo[0] = byte
    } else this.#fifo.push(byte)
    this.#restartTimeout()
  }

  /**
   * Moves bytes that wait at the host into the receiver while the line is open. The other end is a modem or terminal
   * with RTS/CTS flow control: once the guest has raised RTS it sends only while RTS is up. A driver that clears the
   * receiver while it starts, as Linux's does, so loses no input; one that never touches RTS gets it at once.
   */
  #fill(): void {
    if (this.#mcr & r.MCR_LOOP || (this.#flowControl && !(this.#mcr & r.MCR_RTS))) return
    const count = Math.min(this.#host.length, this.#capacity - this.#fifo.length)
    if (count <= 0) return
    this.#fifo.push(...this.#host.splice(0, count))
    this.#restartTimeout()
    this.#update()
  }

  /** 8.5: the timeout counts from the last character that arrived or was read, while the FIFO is not empty. */
  #restartTimeout(): void {
    const waiting = this.#fcr & r.FCR_ENABLE && this.#fifo.length > 0 && !this.#timeoutPending
    if (!waiting) {
      this.#timeout.cancel()
      return
    }
    const baud = r.BASE_BAUD / Math.max(1, this.#divisor)
    this.#timeout.arm(Math.ceil(this.#clock.now + (TIMEOUT_BITS * 1e9) / baud))
  }

  get #capacity(): number {
    return this.#fcr & r.FCR_ENABLE ? r.FIFO_SIZE : 1
  }

  get #trigger(): number {
    return this.#fcr & r.FCR_ENABLE ? r.TRIGGER_LEVELS[this.#fcr >>> 6] : 1
  }

  get #lsr(): number {
    const ready = this.#fifo.length > 0 ? r.LSR_DATA_READY : 0
    return ready | this.#lsrErrors | r.LSR_THR_EMPTY | r.LSR_TRANSMITTER_EMPTY
  }

  /** The upper half of MSR: a peer that is there and ready, or in loopback the guest's own outputs (8.6). */
  get #modemInputs(): number {
    if (!(this.#mcr & r.MCR_LOOP)) return r.MSR_CTS | r.MSR_DSR | r.MSR_DCD
    return (
      (this.#mcr & r.MCR_RTS ? r.MSR_CTS : 0) |
      (this.#mcr & r.MCR_DTR ? r.MSR_DSR : 0) |
      (this.#mcr & r.MCR_OUT1 ? r.MSR_RI : 0) |
      (this.#mcr & r.MCR_OUT2 ? r.MSR_DCD : 0)
    )
  }

  get #msr(): number {
    return this.#modemInputs | this.#msrDeltas
  }

  /** Table IV: the pending and enabled interrupt of the highest priority. */
  get #iir(): number {
    const fifos = this.#fcr & r.FCR_ENABLE ? r.IIR_FIFOS_ENABLED : 0
    if (this.#ier & r.IER_LINE_STATUS && this.#lsrErrors !== 0) return fifos | r.IIR_LINE_STATUS
    if (this.#ier & r.IER_RX_AVAILABLE) {
      if (this.#fifo.length >= this.#trigger) return fifos | r.IIR_RX_AVAILABLE
      if (this.#timeoutPending) return fifos | r.IIR_RX_TIMEOUT
    }
    if (this.#ier & r.IER_THR_EMPTY && this.#thrEmptyPending) return fifos | r.IIR_THR_EMPTY
    if (this.#ier & r.IER_MODEM_STATUS && this.#msrDeltas !== 0) return fifos | r.IIR_MODEM_STATUS
    return fifos | r.IIR_NONE
  }

  #update(): void {
    this.#interrupt.set((this.#iir & r.IIR_NONE) === 0)
  }

  save(): Json {
    return {
      ier: this.#ier,
      fcr: this.#fcr,
      lcr: this.#lcr,
      mcr: this.#mcr,
      lsrErrors: this.#lsrErrors,
      msrDeltas: this.#msrDeltas,
      scratch: this.#scratch,
      divisor: this.#divisor,
      thrEmptyPending: this.#thrEmptyPending,
      timeoutPending: this.#timeoutPending,
      flowControl: this.#flowControl,
      fifo: encodeBytes(Uint8Array.from(this.#fifo)),
      host: encodeBytes(Uint8Array.from(this.#host)),
    }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state)
    this.#ier = saved.number('ier')
    this.#fcr = saved.number('fcr')
    this.#lcr = saved.number('lcr')
    this.#mcr = saved.number('mcr')
    this.#lsrErrors = saved.number('lsrErrors')
    this.#msrDeltas = saved.number('msrDeltas')
    this.#scratch = saved.number('scratch')
    this.#divisor = saved.number('divisor')
    this.#thrEmptyPending = saved.boolean('thrEmptyPending')
    this.#timeoutPending = saved.boolean('timeoutPending')
    this.#flowControl = saved.boolean('flowControl')
    this.#fifo = [...saved.bytes('fifo')]
    this.#host = [...saved.bytes('host')]
  }

  registers(): readonly RegisterView[] {
    return [
      { name: 'RBR', value: this.#fifo[0] ?? 0, width: 8, meaning: `${this.#fifo.length} received` },
      { name: 'IER', value: this.#ier, width: 8 },
      { name: 'IIR', value: this.#iir, width: 8, meaning: this.#iir & r.IIR_NONE ? 'no interrupt' : 'interrupt' },
      { name: 'FCR', value: this.#fcr, width: 8 },
      { name: 'LCR', value: this.#lcr, width: 8 },
      { name: 'MCR', value: this.#mcr, width: 8 },
      { name: 'LSR', value: this.#lsr, width: 8 },
      { name: 'MSR', value: this.#msr, width: 8 },
      { name: 'SCR', value: this.#scratch, width: 8 },
      {
        name: 'DL',
        value: this.#divisor,
        width: 16,
        meaning: `${Math.round(r.BASE_BAUD / Math.max(1, this.#divisor))} baud`,
      },
    ]
  }
}
