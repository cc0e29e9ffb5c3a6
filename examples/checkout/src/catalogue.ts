/** What make-orders.ts makes orders of. */
type Several<Item> = readonly [Item, ...Item[]]

/** Product and price in euro cents. */
export const products: Several<readonly [sku: string, cents: number]> = [
  ['kettle-steel-1.7l', 4990],
  ['teapot-cast-iron', 6450],
  ['mug-stoneware', 1290],
  ['sencha-100g', 890],
  ['darjeeling-250g', 1575],
  ['assam-500g', 1890],
  ['rooibos-100g', 620],
  ['strainer-fine', 745],
  ['scale-digital', 3400],
  ['honey-acacia', 980],
  ['gift-box-six-teas', 2999],
  ['voucher-25', 2500],
]

/** Currencies, and how many of their smallest units a euro cent is. */
export const rates: Several<readonly [currency: string, rate: number]> = [
  ['EUR', 1],
  ['EUR', 1],
  ['EUR', 1],
  ['USD', 1.09],
  ['GBP', 0.85],
  ['CHF', 0.95],
  ['JPY', 1.63],
]

export const issuers: Several<string> = [
  'Nordbank',
  'Crédit du Lac',
  'First Harbour',
  'Sakura Bank',
  'Sparkasse Süd',
]

export const customers: Several<readonly [name: string, email: string]> = [
  ['Zoë Müller', 'zoë@müller.example'],
  ['Łukasz Wójcik', 'lukasz.wojcik@example.org'],
  ['田中さくら', '田中さくら@メール.example'],
  ['Ольга Иванова', 'olga@example.net'],
  ['José Núñez', 'jose.nunez@example.com'],
  ['Nguyễn Thị Hoa', 'hoa.nguyen@example.com'],
  ['Aoife Ní Bhriain', 'aoife@example.org'],
  ['Þórdís Jónsdóttir', 'þórdís@example.net'],
  ['Chloé D’Angelo', 'chloe.dangelo@example.com'],
  ['محمد عبد الله', 'mohammed@example.org'],
  ['Priya Raghavan', 'priya+tea@example.com'],
  ['Grace Okafor', 'grace.okafor@example.net'],
  ['Søren Ångström', 'søren@ångström.example'],
  ['Emily Carter', 'emily_carter@example.com'],
  ['Mateus Conceição', 'mateus@example.org'],
  ['김민준', 'minjun.kim@example.net'],
]
