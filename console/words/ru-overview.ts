import { russian } from '../exact/plural.ts'
import type { EN_OVERVIEW } from './en-overview.ts'

const payments = (count: number) => russian(count, ['платёж', 'платежа', 'платежей'])

/** What the console says of the service as a whole, in Russian. */
export const RU_OVERVIEW: typeof EN_OVERVIEW = {
  span: 'Срок',
  spans: { '15m': '15 мин', '1h': '1 час', '24h': '24 часа', '7d': '7 дней' },
  acceptedPerSecond: 'Принято в секунду',
  inAll: (count) => `${count} за этот срок`,
  succeededShare: 'Успешно',
  ofEnded: (good, bad, doubt) => `успешно ${good}, неудачно ${bad}, неизвестно ${doubt}`,
  latency: 'От приёма до конца',
  most: (span) => `95 % за ${span}`,
  nothingAccepted: 'За этот срок ничего не принято.',
  beginHere: 'Создать платёж или найти его',
  nothingEnded: 'За этот срок ничего не закончилось.',
  perSecond: (rate) => `${rate} в секунду`,
  ended: 'Завершено',
  endedSaid: (count, wrong) => `завершено ${count}, из них плохо ${wrong}`,
  latencyOverTime: '95 % завершаются за',
  latencySaid: (half, most) => `половина за ${half}, 95 % за ${most}`,
  latencySpread: 'Сколько это длится',
  wentWrong: 'Неудача или неизвестно',
  longer: 'дольше',
  upTo: (span) => `до ${span}`,
  p95: '95 % за',
  allWell: 'Всё в порядке: ничто не ждёт человека.',
  workerConcern: 'Никто не берёт платежи из очереди.',
  misconfigured: (gateway, what) => `${gateway}, ${what}: наши настройки неверны.`,
  breakerOpen: (gateway, what) => `${gateway}, ${what}: недоступно.`,
  unknownConcern: (count) =>
    `Неизвестно, чем кончились ${count} ${payments(count)}; деньги удержаны.`,
  failedConcern: (count) =>
    `${count} ${russian(count, ['неудачный платёж', 'неудачных платежа', 'неудачных платежей'])} на разбор.`,
  waiting: 'В очереди',
  queueSaid: (due, leased) => `готовы: ${due}, в работе: ${leased}`,
  atRisk: 'Деньги под риском',
  nothingAtRisk: 'Нет.',
  standing: 'Сейчас',
  queue: 'Очередь',
  dueLater: 'Позже',
  currency: 'Валюта',
  booksVerified: 'Книга',
  neverVerified: 'Ещё не проверялась.',
  verifiedBy: (rules, violations) =>
    `${rules} ${russian(rules, ['правило', 'правила', 'правил'])}, нарушений: ${violations}`,
  webhooksSaid: (all, failing) =>
    `${all} ${russian(all, ['адрес', 'адреса', 'адресов'])}, с ошибками: ${failing}`,
  webhooksConcern: (count) =>
    `Не доходят события: ${count} ${russian(count, ['адрес', 'адреса', 'адресов'])}.`,
  booksConcern: (count) => `Книга неверна, нарушений: ${count}.`,
  verifyNow: 'Проверить сейчас',
  checkedOf: (done, total) => `${done} из ${total}`,
  byRule: 'По правилам',
  rule: 'Правило',
  checked: 'Просмотрено',
  violations: 'Нарушения',
  foundFor: (text) => `Найдено по «${text}»`,
  searchFor: (text) => `Искать ${text} везде`,
}
