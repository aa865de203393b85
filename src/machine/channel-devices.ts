/** The virtio devices by which a machine and its host exchange text, memory and files. */

import { SharedFolder } from '../backends/share/shared-folder.ts'
import { NinePDevice } from '../devices/virtio/9p/device.ts'
import { Balloon, type BalloonMemory } from '../devices/virtio/balloon/device.ts'
import { VirtioConsole } from '../devices/virtio/console/device.ts'
import type { VirtioDevice } from '../devices/virtio/virtio-device.ts'
import type { BalloonConfiguration, ConsoleConfiguration, ShareConfiguration } from './channel-configuration.ts'
import { FileError } from './configuration.ts'
import { ConfigurationError } from './configuration-error.ts'

/** What the guest writes to a port of a virtio console; the console itself is the port "". */
export type PortOutput = (port: string, bytes: Uint8Array) => void

export class ChannelDevices {
  readonly #output: PortOutput
  readonly #memory: BalloonMemory
  readonly #consoles: VirtioConsole[] = []
  readonly #balloons: Balloon[] = []
  readonly #shares: NinePDevice[] = []

  constructor(memory: BalloonMemory, output: PortOutput = () => {}) {
    this.#memory = memory
    this.#output = output
  }

  /**
   * @param number of the device among those of its kind: names end in it.
   * Throws {@link FileError} for a folder that can't be shared, {@link ConfigurationError} for a balloon beyond RAM.
   */
  make(configuration: ConsoleConfiguration | BalloonConfiguration | ShareConfiguration, number: number): VirtioDevice {
    switch (configuration.kind) {
      case 'console':
        return this.#console(configuration, number)
      case 'balloon':
        return this.#balloon(configuration, number)
      case 'share':
        return this.#share(configuration, number)
    }
  }

  /** The first balloon, if there is one. */
  get balloon(): Balloon | undefined {
    return this.#balloons[0]
  }

  /** Gives bytes to a port of the first virtio console. @returns how many fit; 0 where there is no such port */
  input(port: string, bytes: Uint8Array): number {
    const [console] = this.#consoles
    const index = console?.ports.findIndex(({ description }) => description.name === port) ?? -1
    return index < 0 ? 0 : (console?.input(index, bytes) ?? 0)
  }

  /** Closes the files that guests have open. */
  close(): void {
    for (const share of this.#shares) share.reset()
  }

  #console({ ports }: ConsoleConfiguration, number: number): VirtioConsole {
    const console = new VirtioConsole(
      `virtio-console${number}`,
      ['', ...ports].map(name => ({ name, console: name === '', output: bytes => this.#output(name, bytes) })),
    )
    this.#consoles.push(console)
    return console
  }

  #balloon({ size }: BalloonConfiguration, number: number): Balloon {
    const balloon = new Balloon(`virtio-balloon${number}`, this.#memory)
    if (size > this.#memory.size)
      throw new ConfigurationError(`a balloon of ${size} bytes: the guest has ${this.#memory.size} bytes of RAM`)
    balloon.inflateTo(size)
    this.#balloons.push(balloon)
    return balloon
  }

  #share({ path, writable, tag }: ShareConfiguration, number: number): NinePDevice {
    const share = new NinePDevice(`virtio-9p${number}`, tag, openFolder(path, writable))
    this.#shares.push(share)
    return share
  }
}

function openFolder(path: string, writable: boolean): SharedFolder {
  try {
    return new SharedFolder(path, writable)
  } catch (error) {
    throw new FileError(error instanceof Error ? error.message : String(error), { cause: error })
  }
}
