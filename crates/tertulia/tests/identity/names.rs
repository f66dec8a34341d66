//! A name that is an account's is nobody else's.

use serde_json::{Value, json};
use testkit::socketio::SocketIo;

use crate::house::{House, socketio};

/// What is heard of the next message.
async fn next_from(reader: &mut testkit::client::Client) -> (Value, Value) {
    let message = reader.expect("message").await;
    (message["from"]["name"].clone(), message["text"].clone())
}

/// Guards against a guest who would be taken for an account, however the name is written and wherever it is given.
#[tokio::test]
async fn a_guest_cannot_take_the_name_of_an_account() {
    let house = House::of(1).await;
    let node = house.node();
    let mut early = node.client().await;
    let token = early.hello("Zoë").await["token"].clone();
    house.key("Zoë").await;

    for name in ["Zoë", "ZOË", "zoe\u{308}", " Zoë "] {
        let mut client = node.client().await;
        client.say(json!({"type": "hello", "name": name})).await;
        client.refused("name_taken").await;
        // The connection goes on, with another name.
        client.hello("Somebody Else").await;

        let mut client = socketio(node, &[]).await;
        assert_eq!(client.try_enter(&json!({"username": name})).await.unwrap_err()["code"], "name_taken");
    }
    // Nor can one who was called so before there was the account.
    let mut again = node.client().await;
    again.say(json!({"type": "hello", "token": token})).await;
    again.refused("name_taken").await;
}

/// Guards the names that clients of Socket.IO give as they go along, one for each message even.
#[tokio::test]
async fn a_name_given_later_is_not_an_accounts_either() {
    let house = House::of(1).await;
    let (node, key) = (house.node(), house.key("Zoë").await);
    let mut reader = node.guest("a reader").await;
    reader.join("general").await;

    let mut guest = SocketIo::connect(node.address(), json!({"username": "Ben"})).await;
    guest.emit(&json!(["message", {"username": "zoë", "text": "never said"}])).await;
    assert_eq!(guest.expect("error").await[0]["code"], "name_taken");
    guest.emit(&json!(["add user", "ZOË"])).await;
    assert_eq!(guest.expect("error").await[0]["code"], "name_taken");
    // Names that are free still change as they always did, and what is said keeps its order.
    for (number, name) in ["Carla", "Ben", "Carla", "Carla", "Dora"].into_iter().enumerate() {
        guest.emit(&json!(["message", {"username": name, "text": number.to_string()}])).await;
    }
    for (number, name) in ["Carla", "Ben", "Carla", "Carla", "Dora"].into_iter().enumerate() {
        assert_eq!(next_from(&mut reader).await, (json!(name), json!(number.to_string())));
    }

    // Who has an account is shown by its name, whatever else is given.
    let mut zoe = SocketIo::connect(node.address(), json!({"token": key.token, "username": "Ben"})).await;
    zoe.emit(&json!(["message", {"username": "Ben", "text": "it is me"}])).await;
    assert_eq!(next_from(&mut reader).await, (json!("Zoë"), json!("it is me")));
    zoe.emit(&json!(["add user", "Ben"])).await;
    zoe.expect("login").await;
    zoe.emit(&json!(["new message", "still me"])).await;
    assert_eq!(next_from(&mut reader).await, (json!("Zoë"), json!("still me")));
}
