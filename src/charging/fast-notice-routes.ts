import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import { refusalAnswer, type HttpAnswer } from '../http/answer.ts'
import type { Caller } from '../http/caller.ts'
import { isPlainPost, logAnswer, readPlain, sendPlain } from '../http/fast-path.ts'
import { API } from '../http/paths.ts'
import type { Refusal } from '../domain/refusal.ts'
import type { NoticeDesk } from './notice-desk-routes.ts'

type Incoming = FastifyRequest['raw']

interface FastNotices {
  readonly desk: NoticeDesk
  /** Whether the caller may; false: let the framework say why not. */
  readonly admit: (request: Incoming, caller: Caller) => boolean
  readonly requestId: (request: Incoming) => string
  /** Milliseconds that never run backwards. */
  readonly elapsedMs: () => number
  /** What a failure of our own is answered with. */
  readonly failed: (error: unknown, requestId: string) => Refusal
  /** Told of every answer, in milliseconds, as the server tells of its own. */
  readonly onAnswer: (method: string, route: string, status: number, ms: number) => void
  readonly log: FastifyBaseLogger
}

/** Bytes of a plain notice. */
const BYTES_MAX = 16 * 1_024
/** A type that is written plainly: the framework refuses what is none, and knows the others. */
const TYPE = /^[a-z0-9.+-]+\/[a-z0-9.+-]+(; ?charset=[a-z0-9-]+)?$/i
const [BEFORE, BEHIND] = [`${API}/gateways/`, '/notices'] as const
const ROUTE = `${BEFORE}:name${BEHIND}`

/**
 * Answer notices before the framework, which costs several times as much as it does to refuse one.
 * Anybody may send them, as many as they like. Whatever is not plain is the framework's.
 */
export function fastNotices({
  desk,
  ...server
}: FastNotices): (request: Incoming, response: FastifyReply['raw']) => boolean {
  return (request, response) => {
    const name = nameIn(request.url ?? '')
    if (name === null || !isPlain(request)) return false
    const caller = desk.callerOf(request)
    if (!server.admit(request, caller)) return false
    const startedMs = server.elapsedMs()
    const id = server.requestId(request)
    const answer = (given: HttpAnswer): void => {
      sendPlain(response, given, id)
      const tookMs = server.elapsedMs() - startedMs
      server.onAnswer('POST', ROUTE, given.status, tookMs)
      logAnswer(server.log, id, { route: ROUTE, status: given.status, tookMs })
    }
    const entered = desk.enter(name, caller, Number(request.headers['content-length']))
    if (typeof entered !== 'function') {
      answer(desk.answer(entered, id))
      return true
    }
    response.once('close', entered)
    readPlain(request, (body) => {
      desk.take(name, caller, { headers: request.headers, body }).then(
        (taken) => answer(desk.answer(taken, id)),
        (error: unknown) => answer(refusalAnswer(server.failed(error, id), id)),
      )
    })
    return true
  }
}

function isPlain(request: Incoming): boolean {
  const type = request.headers['content-type']
  return (type === undefined || TYPE.test(type)) && isPlainPost(request, BYTES_MAX)
}

/** The gateway that a path of notices names; null: it is another path, or spelled differently. */
function nameIn(url: string): string | null {
  if (!url.startsWith(BEFORE) || !url.endsWith(BEHIND)) return null
  const name = url.slice(BEFORE.length, -BEHIND.length)
  return /^[a-z0-9]{1,40}$/.test(name) ? name : null
}
