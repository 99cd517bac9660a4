import { russian } from '../exact/plural.ts'
import type { EN_ACTS } from './en-acts.ts'

/** What the console says of acts and of one payment, in Russian. */
export const RU_ACTS: typeof EN_ACTS = {
  back: 'Назад',
  working: 'Работаем…',
  actAway: 'API не ответил. Повторите: это тот же запрос, и он будет исполнен один раз.',
  reason: 'Причина',
  reasonHint: 'Останется в записях, с вашим именем.',
  refresh: 'Спросить шлюз',
  cancel: 'Отменить',
  cancelTitle: (id) => `Отменить платёж ${id}`,
  cancelSays: (sum, held) =>
    `Шлюзу ничего не отправлено. Платёж станет неудачным, и ${
      held ? `удержание на ${sum} вернётся пользователю.` : `деньги не двинутся; он был на ${sum}.`
    }`,
  refund: 'Вернуть',
  refundTitle: (id) => `Вернуть платёж ${id}`,
  refundSays: (sum) =>
    `Деньги уйдут обратно через шлюз отдельным платежом. Вернуть можно не больше ${sum}. Платит баланс пользователя.`,
  refundHint: 'Можно вернуть часть.',
  amountBad: (currency) => `Это не сумма в ${currency}.`,
  redrive: 'Повторить',
  redriveTitle: (id) => `Повторить платёж ${id}`,
  redriveFailedSays: (sum) =>
    `Он не удался, и это окончательно. Новый платёж на ${sum} повторит его: шлюз попросят о деньгах ещё раз.`,
  redriveUnknownSays: (sum) =>
    `Никто не знает, двинулись ли ${sum}. Платёж откроется снова под тем же ключом шлюза, и шлюз спросят.`,
  resolve: 'Решить',
  resolveTitle: (id) => `Решить платёж ${id}`,
  resolveSays: (sum) =>
    `Вы говорите, чем закончился платёж на ${sum}, и книга следует вашему слову. Сначала посмотрите у шлюза: это окончательно.`,
  resolveOutcome: 'Что произошло у шлюза',
  resolveSuccess: 'Исполнен',
  resolveFailed: 'Не исполнен',
  resolveRefHint: 'Если шлюз её показывает.',
  life: 'Жизнь',
  lifeTold: (count, span) =>
    `Картина: ${count} ${russian(count, ['событие', 'события', 'событий'])} за ${span}; таблица ниже говорит то же.`,
  lifeNote: 'Долгое нарисовано короче, чем было, чтобы были видны короткие вызовы.',
  known: 'Известно',
  lanes: { gateway: 'Шлюз', books: 'Книга', people: 'Платёж', notices: 'События' },
  story: 'Что было',
  notSent: 'ничего не отправлено',
  claim: (fence) => `захват ${fence}`,
  late: 'Поздно.',
  repeats: (id) => `повторяет ${id}`,
  letter: 'запись',
  entries: 'Проводки',
  noEntries: 'В книге о нём пока ничего нет.',
  out: 'Ушло',
  in: 'Пришло',
  relatives: 'Связанное',
  of: 'К платежу',
}
