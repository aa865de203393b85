/** What carries messages of the Debug Adapter Protocol to an adapter and back: a process or a worker. */

export interface AdapterLink {
  /** To be called once, before anything comes. */
  listen(listener: AdapterLinkListener): void
  send(message: object): void
  /** Ends the adapter, if it has not ended by itself. */
  dispose(): void
}

export interface AdapterLinkListener {
  message(message: object): void
  /** Nothing comes or goes any more; may be told twice. @param why for the user */
  ended(why: string): void
}
