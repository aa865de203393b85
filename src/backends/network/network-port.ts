/** Where Ethernet frames go in and out: a network device, a port of a bridge, a tap. */

import type { MacAddress } from './frame/mac-address.ts'

/** Without preamble and frame check sequence; 14 to 65,550 bytes. */
export type EthernetFrame = Uint8Array

/** One end of a cable: what is given to it travels to the other end. */
export interface NetworkPort {
  /** For people and captures: `virtio-net0`, `user`. */
  readonly name: string
  /**
   * Takes a frame from the other end. It may be dropped, as on any Ethernet. Several may hold the same bytes: nobody
   * changes them any more.
   * @param number of the frame in the packet trace (`packet-trace.ts`); none if nobody gave it one.
   */
  receive(frame: EthernetFrame, number?: number): void
  /**
   * Bytes of the largest frame that whoever has this address takes: with offloads a whole TCP segment of 64 KiB.
   * An ordinary frame of Ethernet, 1514 bytes, if absent.
   */
  largestFrame?(destination: MacAddress): number
}
