pub mod shapes {
    pub enum Shape {
        Circle(u32),
        Rect { w: u16, h: u16 },
        Empty,
    }

    pub struct Counter {
        pub hits: u64,
        pub name: &'static str,
        pub last: Option<u32>,
        pub pair: (u8, i32),
    }

    impl Counter {
        #[inline(never)]
        pub fn bump(&mut self, by: u64) -> u64 {
            self.hits += by; // #bump
            self.hits
        }
    }

    #[inline(never)]
    pub fn area(shape: &Shape, scale: u64) -> u64 {
        match shape {
            Shape::Circle(r) => (*r as u64) * scale,
            Shape::Rect { w, h } => (*w as u64) * (*h as u64) * scale,
            Shape::Empty => 0,
        }
    }
}

fn main() {
    let mut counter = shapes::Counter { hits: 1, name: "x", last: Some(3), pair: (1, -2) };
    let some = std::env::args().count() > 3;
    let shape = if some { shapes::Shape::Empty } else { shapes::Shape::Rect { w: 3, h: 4 } };
    let circle = shapes::Shape::Circle(9);
    println!("{} {}", shapes::area(&shape, 2), shapes::area(&circle, counter.bump(5)));
    println!("{:?} {:?} {}", counter.last, counter.pair, counter.name);
}
