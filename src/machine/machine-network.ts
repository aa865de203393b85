/** The network of one machine: its card, the bridge that it is plugged into, and who else is there. */

import { Bridge, type BridgePort } from '../backends/network/bridge.ts'
import { Capture, CaptureError } from '../backends/network/capture.ts'
import { PacketTrace } from '../backends/network/packet-trace.ts'
import { openTapFile, Tap, TapError } from '../backends/network/tap.ts'
import { ForwardError } from '../backends/network/user/forwards.ts'
import { UserNetwork } from '../backends/network/user/user-network.ts'
import type { Device, RegisterView } from '../devices/device.ts'
import { SavedState } from '../devices/saved-state.ts'
import { NetDevice } from '../devices/virtio/net/device.ts'
import type { HostInput } from '../util/host-input.ts'
import type { Json } from '../util/json.ts'
import type { VirtualClock } from '../util/virtual-clock.ts'
import type { MachineConfiguration } from './configuration.ts'
import { ConfigurationError } from './configuration-error.ts'
import type { NetConfiguration } from './net-configuration.ts'

export interface NetworkOptions {
  readonly clock: VirtualClock
  /** One that other machines are plugged into, too; the machine's own if absent. */
  readonly bridge?: Bridge | undefined
  readonly capture?: CaptureFile | undefined
}

export interface CaptureFile {
  readonly path: string
  /** What virtual time 0 is called. */
  readonly start: Date
  readonly onFailure: (message: string) => void
}

/** The network of a configuration; a machine has at most one. */
export function networkOf(
  { devices, capture, startDate }: MachineConfiguration,
  clock: VirtualClock,
  { warn = () => {}, bridge }: { warn?: ((message: string) => void) | undefined; bridge?: Bridge | undefined },
): MachineNetwork | undefined {
  const network = devices.find(device => device.kind === 'net')
  if (network === undefined) return undefined
  return new MachineNetwork('virtio-net0', network, {
    clock,
    bridge,
    capture: capture === undefined ? undefined : { path: capture, start: startDate, onFailure: warn },
  })
}

export class MachineNetwork implements Device, HostInput {
  readonly name = 'network'
  readonly card: NetDevice
  readonly bridge: Bridge
  /** Where the card is plugged in. */
  readonly port: BridgePort
  readonly user: UserNetwork | undefined
  readonly tap: Tap | undefined
  readonly capture: Capture | undefined
  onArrival: (() => void) | undefined
  readonly #configuration: NetConfiguration

  /** Throws `ConfigurationError` if the capture's file can't be made. */
  constructor(name: string, configuration: NetConfiguration, { clock, bridge, capture }: NetworkOptions) {
    this.#configuration = configuration
    this.bridge = bridge ?? new Bridge({ trace: new PacketTrace(clock) })
    const { trace } = this.bridge
    const traced = trace === undefined ? {} : { trace }
    this.card = new NetDevice({ name, label: this.bridge.portName(name), mac: configuration.mac, clock, ...traced })
    this.port = this.bridge.connect(this.card)
    this.card.wire = this.port
    if (configuration.user !== undefined) {
      this.user = new UserNetwork({ clock, access: configuration.user.access, ...traced })
      this.user.port = this.bridge.connect(this.user)
      this.user.events.onArrival = () => this.onArrival?.()
    }
    if (configuration.tap !== undefined) {
      this.tap = openTap(configuration.tap, trace)
      this.tap.port = this.bridge.connect(this.tap)
      this.tap.onArrival = () => this.onArrival?.()
    }
    if (capture !== undefined) this.capture = this.#beginCapture(capture, clock)
  }

  /** Begins to listen at forwarded ports. Throws `ConfigurationError` if one can't be had. */
  async open(): Promise<void> {
    try {
      await this.user?.open(this.#configuration.user?.forwards ?? [])
    } catch (error) {
      if (error instanceof ForwardError) throw new ConfigurationError(`--net: ${error.message}`, { cause: error })
      throw error
    }
  }

  // What comes from the host.

  get live(): boolean {
    return this.tap !== undefined || (this.user?.live ?? false)
  }

  get waiting(): boolean {
    return (this.user?.events.waiting ?? 0) > 0 || (this.tap?.waiting ?? false)
  }

  deliver(): void {
    this.user?.deliver()
    this.tap?.deliver()
    this.capture?.flush()
  }

  close(): void {
    this.user?.close()
    this.tap?.close()
    this.capture?.close()
    this.bridge.disconnect(this.port)
  }

  // As a device: what of the network is the machine's own. The card is saved with its queues.

  reset(): void {
    this.user?.reset()
  }

  save(): Json {
    return { user: this.user?.save() ?? null }
  }

  restore(state: Json): void {
    const saved = new SavedState(this.name, state).value('user')
    if (saved !== null) this.user?.restore(saved)
  }

  registers(): readonly RegisterView[] {
    const counter = (name: string, value: number): RegisterView => ({ name, value: value % 2 ** 32, width: 32 })
    return [
      ...this.bridge.ports.flatMap(({ name, counters }) => [
        counter(`${name}: frames in`, counters.framesIn),
        counter(`${name}: frames out`, counters.framesOut),
        counter(`${name}: dropped`, counters.dropped),
        counter(`${name}: flooded`, counters.flooded),
      ]),
      counter('bridge: addresses', this.bridge.addresses),
      ...(this.user === undefined
        ? []
        : [
            counter('user: connections', this.user.tcp.connections.length),
            counter('user: UDP flows', this.user.udp.flows),
            counter('user: refused', this.user.tcp.counters.refused + this.user.udp.counters.refused),
            counter('user: malformed', this.user.counters.malformed + this.user.tcp.counters.malformed),
            counter('user: deliveries from the host', this.user.events.delivered),
          ]),
    ]
  }

  #beginCapture({ path, start, onFailure }: CaptureFile, clock: VirtualClock): Capture {
    try {
      // What user network and tap send and receive is seen at the machines' ports already.
      const wants = (port: BridgePort) => port.device !== this.user && port.device !== this.tap
      const capture = new Capture({ path, clock, start: start.getTime(), wants, onFailure })
      this.bridge.observer = capture
      return capture
    } catch (error) {
      if (error instanceof CaptureError) throw new ConfigurationError(`--pcap: ${error.message}`, { cause: error })
      throw error
    }
  }
}

function openTap(path: string, trace: PacketTrace | undefined): Tap {
  try {
    return new Tap(openTapFile(path), trace)
  } catch (error) {
    if (error instanceof TapError) throw new ConfigurationError(`--net: ${error.message}`, { cause: error })
    throw error
  }
}
