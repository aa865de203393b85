/** What carries a conversation: texts of messages, one after the other, both ways. */

export interface Transport {
  /** To be called once, before anything comes. */
  listen(listener: TransportListener): void
  send(text: string): void
  /** The other side sends faster than it is served: it has to wait until {@link resume}. */
  pause(): void
  resume(): void
}

export interface TransportListener {
  /** What came together, each JSON as far as the other side keeps its word: one message may cancel another. */
  messages(texts: readonly string[]): void
  /** What came can't be told into messages: the conversation is over. */
  unreadable(why: string): void
  /** Nothing comes or goes any more; may be told twice. */
  closed(): void
}
