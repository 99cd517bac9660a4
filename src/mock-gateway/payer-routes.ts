import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { escapeHtml } from '../domain/escape-html.ts'
import { formatMoney } from '../domain/money.ts'
import { page, PAGE_HEADERS } from '../http/html-page.ts'
import { decimalsOf } from './given-back.ts'
import type { Order } from './orders.ts'

/** What a payer says. */
export type Answer = 'yes' | 'no'

/** What the pages need of the gateway. */
interface Asking {
  /** The order that waits for its payer under a key; undefined: none does. */
  asked(key: string): Order | undefined
  /** Its payer has answered; false: it does not wait any more. */
  decide(key: string, answer: Answer): boolean
}

type App = Parameters<FastifyPluginAsyncTypebox>[0]

/** Forms are sent to this page, and nowhere else. */
const HEADERS = {
  ...PAGE_HEADERS,
  'content-security-policy': PAGE_HEADERS['content-security-policy'].replace(
    "form-action 'none'",
    "form-action 'self'",
  ),
  'cache-control': 'no-store',
  // Without it a form would say that it comes from nowhere, and be refused.
  'referrer-policy': 'same-origin',
}

const KEY = Type.Object({ key: Type.String({ maxLength: 255 }) })

/** The page on which a payer says yes or no, and what it shows afterwards. */
export function payerPages(app: App, asking: Asking): void {
  const schema = { hide: true, params: KEY }
  app.get('/pages/:key', { schema }, (request, reply) => {
    const order = asking.asked(request.params.key)
    const html = order === undefined ? over() : question(order)
    void reply
      .code(order === undefined ? 404 : 200)
      .headers(HEADERS)
      .send(html)
  })
  const answers = { hide: true, params: Type.Object({ ...KEY.properties, answer: Type.String() }) }
  void app.register(async (forms) => {
    // A form without fields has a body without meaning.
    forms.removeAllContentTypeParsers()
    forms.addContentTypeParser('*', { parseAs: 'string' }, (_request, _body, done) => done(null))
    forms.post<{ Params: { key: string; answer: string } }>(
      '/pages/:key/:answer',
      { schema: answers },
      (request, reply) => {
        const { key, answer } = request.params
        const known = answer === 'yes' || answer === 'no'
        const done = known && asking.decide(key, answer)
        void reply
          .code(done ? 200 : 404)
          .headers(HEADERS)
          .send(done ? thanks() : over())
      },
    )
  })
}

function question(order: Order): string {
  const { paymentId, amount, currency = '', key } = order
  const sum = `${formatMoney(amount, decimalsOf(order))} ${currency}`.trim()
  const form = (answer: Answer, text: string) =>
    `<form method="post" action="${encodeURIComponent(key ?? '')}/${answer}">` +
    `<p><button type="submit" name="${answer}">${text}</button></p></form>`
  return page(
    'Confirm a payment',
    `<h1>Confirm a payment</h1>
<p>Payment ${paymentId}: <strong>${escapeHtml(sum)}</strong>. This is a test: no money moves.</p>
${form('yes', 'Yes, pay')}
${form('no', 'No')}`,
  )
}

function thanks(): string {
  return page('Done', '<h1>Done</h1><p>You can close this page.</p>')
}

function over(): string {
  return page('Over', '<h1>Nothing to confirm</h1><p>This payment waits for nobody.</p>')
}
