// What code written for mParticle does with its Node SDK; only the host is another.

const mParticle = require("mparticle");

const TIME = 1767225600000;
const api = new mParticle.EventsApi(new mParticle.Configuration("KEY", "SECRET"));
api.apiClient.basePath = process.env.HOST;

const batch = new mParticle.Batch(mParticle.Batch.Environment.production);
batch.mpid = 7;
batch.user_identities = new mParticle.UserIdentities();
batch.user_identities.customerid = "c-7";
batch.user_identities.email = "ada@example.com";
batch.user_identities.other_id_2 = "o-7";
batch.user_attributes = { plan: "gold", sizes: ["38", "39"] };
batch.device_info = new mParticle.DeviceInformation();
batch.device_info.device_model = "SM-1";
batch.device_info.os_version = "17.2";
batch.consent_state = new mParticle.ConsentState();
batch.consent_state.gdpr = {
  newsletter: new mParticle.GDPRConsentState(null, true, TIME),
};

const start = new mParticle.SessionStartEvent();
start.session_id = 1;
start.timestamp_unixtime_ms = TIME;
batch.addEvent(start);

const signUp = new mParticle.AppEvent(mParticle.AppEvent.CustomEventType.other, "Sign Up");
signUp.timestamp_unixtime_ms = TIME + 1;
signUp.source_message_id = "m-1";
signUp.custom_attributes = { from: "footer" };
batch.addEvent(signUp);

const view = new mParticle.ScreenViewEvent();
view.screen_name = "Home";
view.timestamp_unixtime_ms = TIME + 2;
batch.addEvent(view);

const product = new mParticle.Product();
product.id = "red-shoes";
product.price = 59.9;
product.quantity = 1;
const purchase = new mParticle.CommerceEvent();
purchase.product_action = new mParticle.ProductAction("purchase");
purchase.product_action.products = [product];
purchase.product_action.total_amount = 59.9;
purchase.timestamp_unixtime_ms = TIME + 3;
batch.addEvent(purchase);

const update = new mParticle.Batch(mParticle.Batch.Environment.production);
update.mpid = 8;
update.user_identities = new mParticle.UserIdentities();
update.user_identities.customerid = "c-8";
const another = new mParticle.AppEvent(mParticle.AppEvent.CustomEventType.other, "Sign Up");
another.timestamp_unixtime_ms = TIME + 4;
update.addEvent(another);

function check(error) {
  if (error) {
    console.error(error);
    process.exit(1);
  }
}

api.uploadEvents(batch, (error) => {
  check(error);
  api.bulkUploadEvents([update], check);
});

// The same as text, for a producer of one's own.
for (const one of [batch, update]) {
  console.log(JSON.stringify(one));
}
