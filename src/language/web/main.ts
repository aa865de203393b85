/** The language server as a worker of a browser: the client speaks to it by the worker's messages. */

import { BrowserMessageReader, BrowserMessageWriter, createConnection } from 'vscode-languageserver/browser'
import { serveHanded } from './serve.ts'

/** The worker's global object is a port too. */
declare const self: MessagePort

serveHanded(createConnection(new BrowserMessageReader(self), new BrowserMessageWriter(self)))
