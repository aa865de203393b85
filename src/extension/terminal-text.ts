/**
 * What a guest sends to its serial port, as a terminal wants it. Linux ends its lines with CR and LF; smaller kernels
 * send LF alone, after which a terminal would go on below, in the middle of the screen.
 */
export class TerminalText {
  #afterReturn = false

  /** The next piece; pieces may be cut anywhere. */
  convert(text: string): string {
    if (text === '') return text
    const first = this.#afterReturn && text.startsWith('\n') ? '\n' : ''
    this.#afterReturn = text.endsWith('\r')
    return first + text.slice(first.length).replace(/(?<!\r)\n/g, '\r\n')
  }
}
