/** The host's side of a connection, for tests: keeps what comes, and says what it is told to. */

import type { HostStream, HostStreamListener } from '../../../src/backends/network/user/host-stream.ts'

export class FakeStream implements HostStream {
  listener: HostStreamListener | undefined
  /** Bytes that count as not yet taken by the operating system. */
  buffered = 0
  received: number[] = []
  ended = false
  paused = false
  destroyed = false

  write(bytes: Uint8Array): void {
    this.received.push(...bytes)
  }

  end(): void {
    this.ended = true
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  destroy(): void {
    this.destroyed = true
  }
}
